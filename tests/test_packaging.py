"""What is installed: the wheel, the base install alone, the lock files."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
EXTRAS_OF = {"base": (), "service": ("service",), "test": ("service", "test", "check")}
USED_WITHOUT_IMPORT = {"python-multipart"}  # Starlette imports it to read multipart forms
PART_OF = {
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
}  # pinned by the other and documented as its base


def pinned(lock: str) -> dict[str, str]:
    """Name -> version of every requirement of requirements/LOCK.lock."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^ ]+)", text, flags=re.MULTILINE))


def declared(extras: tuple[str, ...]) -> list[Requirement]:
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_name_no_index_host_or_path(path: Path) -> None:
    """What a package is, the lock says; where it comes from is a matter of the machine."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|file:|^-|--(?!hash=)\S|(?<!\S)/", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_locked_requirement_is_one_version_with_hashes(path: Path) -> None:
    entries = re.findall(
        r"^\S.*?(?=^\S|\Z)", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    requirements = [entry for entry in entries if not entry.startswith("#")]
    assert len(requirements) == len(pinned(path.stem))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in requirements)


@pytest.mark.parametrize(("lock", "extras"), EXTRAS_OF.items())
def test_declared_dependencies_are_locked_at_a_version_they_allow(lock: str, extras: tuple[str, ...]) -> None:
    versions = pinned(lock)
    unlocked = [
        str(needed)
        for needed in declared(extras)
        if not needed.specifier.contains(versions.get(name_of(needed), "0"))
    ]
    assert not unlocked


@pytest.mark.parametrize("lock", ["service", "test"])
def test_build_backend_is_locked(lock: str) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert {name_of(Requirement(line)) for line in build} <= set(pinned(lock))


@pytest.mark.parametrize("lock", ["base", "service", "peers"])
def test_locks_agree_on_what_they_share(lock: str) -> None:
    """So that one environment can take one after the other."""
    test = pinned("test")
    assert {
        name: version for name, version in pinned(lock).items() if test.get(name, version) != version
    } == {}


@pytest.mark.parametrize(
    ("folder", "extras"), [("clients/python/gradhorizon", ()), ("service/gradhorizon_service", ("service",))]
)
def test_every_import_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    assert imported(folder) <= {name_of(needed) for needed in declared(extras)}


def test_every_dependency_is_imported() -> None:
    used = (
        imported("clients/python/gradhorizon") | imported("service/gradhorizon_service") | USED_WITHOUT_IMPORT
    )
    assert {name_of(needed) for needed in declared(("service",))} <= used


def name_of(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)


def imported(folder: str) -> set[str]:
    """Distributions whose modules the files of a folder import, the standard library and our own aside.

    What the public package imports under `with service_extra()` is the service's, and answered for when it is missing.
    """
    providers = importlib.metadata.packages_distributions()
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / folder).rglob("*.py")]
    foreign = (
        set().union(*map(roots_imported, trees))
        - sys.stdlib_module_names
        - {"gradhorizon", "gradhorizon_service"}
    )
    names = {canonicalize_name(name) for root in foreign for name in providers.get(root, [root])}
    return {PART_OF.get(name, name) for name in names}


def roots_imported(node: ast.AST) -> set[str]:
    """Top-level names that a piece of source imports."""
    if isinstance(node, ast.With) and any("service_extra" in ast.unparse(item) for item in node.items):
        return set()
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return set() if node.level or not node.module else {node.module.partition(".")[0]}
    return set().union(*map(roots_imported, ast.iter_child_nodes(node)))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution as it would be published, built with what the lock holds."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(
        sys.executable,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        folder,
        ROOT,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def base_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the base install and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    lock = ROOT / "requirements" / "base.lock"
    pip(python, "install", "--require-hashes", "--only-binary", ":all:", "--requirement", lock)
    pip(python, "install", "--no-deps", "--no-index", wheel)
    return python


def pip(python: str | Path, *arguments: str | Path) -> None:
    command = [str(python), "-m", "pip", *map(str, arguments), "--disable-pip-version-check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert run.returncode == 0, run.stderr


def run_in(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code outside the checkout, with no path to it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(python), "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, timeout=60, cwd=python.parent, env=environment,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestBaseInstall:
    """One wheel carries both packages, so a base install holds the service's code and none of its dependencies."""

    def test_client_and_its_version_are_importable(self, base_python: Path) -> None:
        run = run_in(base_python, "import gradhorizon; print(gradhorizon.__version__)")
        assert (run.stdout.strip(), run.stderr) == (PROJECT["version"], "")

    def test_command_line_starts(self, base_python: Path) -> None:
        run = subprocess.run(
            [str(base_python.parent / "gradhorizon"), "--help"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        assert "diagnose" in run.stdout

    def test_in_process_client_names_the_missing_extra(self, base_python: Path) -> None:
        run = run_in(base_python, "from gradhorizon import Client; Client.in_process()")
        assert run.returncode == 1
        assert "gradhorizon[service]" in run.stderr.splitlines()[-1]

    def test_service_dependencies_stay_out(self, base_python: Path) -> None:
        code = "import importlib.util as u; print([n for n in ('scipy', 'fastapi', 'uvicorn') if u.find_spec(n)])"
        assert run_in(base_python, code).stdout.strip() == "[]"
