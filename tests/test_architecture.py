"""Arrows point one way: which module may import what, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = (ROOT / "clients" / "python", ROOT / "service")

# The longest prefix of a module's name decides what it may import beside the standard library.
MAY_IMPORT = {
    "gradhorizon": {"gradhorizon", "httpx", "numpy", "pydantic", "rich", "stamina"},
    "gradhorizon.schemas": {"gradhorizon.schemas", "numpy", "pydantic", "pydantic_core"},
    "gradhorizon.cli": {"gradhorizon", "numpy", "pydantic", "rich", "safetensors", "typer"},
    "gradhorizon_service.worker": {"gradhorizon_service.worker", "numpy", "scipy"},
    "gradhorizon_service.formats": {"gradhorizon_service.formats", "numpy", "orjson"},
    "gradhorizon_service.checkpoints": {
        "gradhorizon_service.checkpoints", "gradhorizon_service.formats", "numpy",
    },
    "gradhorizon_service.artifacts": {
        "gradhorizon.schemas", "gradhorizon_service.analysis", "gradhorizon_service.artifacts",
        "gradhorizon_service.checkpoints", "gradhorizon_service.formats", "numpy",
    },
    "gradhorizon_service.artifacts.inspection": {"gradhorizon_service.checkpoints", "numpy"},
    "gradhorizon_service.checkpoints.recognition": {
        "gradhorizon_service.checkpoints", "numpy", "scipy",
    },
    "gradhorizon_service.processes": {
        "gradhorizon_service.artifacts.inspection", "gradhorizon_service.checkpoints.surveying",
        "gradhorizon_service.formats",
        "gradhorizon_service.processes", "gradhorizon_service.worker", "numpy", "scipy", "threadpoolctl",
    },
    "gradhorizon_service.analysis": {
        "gradhorizon.schemas", "gradhorizon_service.analysis", "gradhorizon_service.checkpoints.hygiene",
        "gradhorizon_service.checkpoints.recognition", "gradhorizon_service.checkpoints.surveying",
        "gradhorizon_service.formats", "gradhorizon_service.worker", "numpy", "orjson", "pydantic", "pydantic_core",
    },
    "gradhorizon_service.charts": {
        "gradhorizon.schemas", "gradhorizon_service.analysis.errors", "gradhorizon_service.charts", "numpy",
    },
    "gradhorizon_service.claims": {
        "gradhorizon.schemas", "gradhorizon_service.analysis", "gradhorizon_service.charts",
        "gradhorizon_service.claims",
        "gradhorizon_service.worker.sequence", "gradhorizon_service.worker.trained",  # problems of their own
        "numpy", "pydantic",
    },
    "gradhorizon_service.settings": {
        "gradhorizon_service.analysis.limits", "gradhorizon_service.artifacts.limits",
        "pydantic", "pydantic_settings",
    },
    "gradhorizon_service.api": {
        "gradhorizon.schemas", "gradhorizon_service.analysis", "gradhorizon_service.api",
        "gradhorizon_service.artifacts", "gradhorizon_service.charts", "gradhorizon_service.checkpoints",
        "gradhorizon_service.claims",
        "gradhorizon_service.formats", "gradhorizon_service.processes", "gradhorizon_service.settings",
        "gradhorizon_service.worker.errors",  # they come out of a worker process as they are
        "fastapi", "fastapi_offline", "orjson", "pydantic", "starlette", "threadpoolctl", "uvicorn",
    },
    "gradhorizon_service.__main__": {"gradhorizon_service.api", "gradhorizon_service.settings", "pydantic"},
}  # fmt: skip

# Only where it is called for: V8 is large, and most processes never draw.
# And the one exception: asked for, the public package imports the service, inside a function, and only then.
MAY_IMPORT_WHEN_CALLED = {
    "gradhorizon_service.processes.rendering": {"vl_convert"},
    "gradhorizon._charts": {
        "gradhorizon_service.analysis.reading",
        "gradhorizon_service.charts",
        "gradhorizon_service.processes.rendering",
    },
    "gradhorizon._in_process": {
        "gradhorizon_service.analysis",
        "gradhorizon_service.artifacts",
        "gradhorizon_service.claims",
        "gradhorizon_service.formats",
        "threadpoolctl",
    },
    "gradhorizon._local_artifacts": {
        "gradhorizon_service.analysis.tasks.layered",
        "gradhorizon_service.artifacts",
        "gradhorizon_service.checkpoints",
    },
    "gradhorizon.cli.serve": {"gradhorizon_service.__main__", "uvicorn"},
}


@dataclass(frozen=True)
class Import:
    """One imported name: who imports what, on which line, and whether importing the module already does it."""

    module: str
    target: str
    line: int
    deferred: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name; a package's own module has the package's name."""
    return {module_name(path, root): path for root in SOURCE_ROOTS for path in sorted(root.rglob("*.py"))}


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports_of(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for scope in ast.walk(tree) if defers(scope) for node in ast.walk(scope)}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        for target in targets(node, package):
            yield Import(module, target, getattr(node, "lineno", 0), id(node) in inside)


def defers(node: ast.AST) -> bool:
    """Whether what stands inside does not run on import: a function's body, or what only type checkers read."""
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
        isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )


def targets(node: ast.AST, package: str) -> list[str]:
    """Absolute names of what an import statement names; nothing for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def allowed(found: Import) -> bool:
    layers = [prefix for prefix in MAY_IMPORT if within(found.module, prefix)]
    may = MAY_IMPORT[max(layers, key=len)] if layers else set()
    may = may | (MAY_IMPORT_WHEN_CALLED.get(found.module, set()) if found.deferred else set())
    standard = found.target.partition(".")[0] in sys.stdlib_module_names
    return standard or any(within(found.target, prefix) for prefix in may)


@pytest.mark.parametrize("module", modules())
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    refused = [str(found) for found in imports_of(module, modules()[module]) if not allowed(found)]
    assert not refused


@pytest.mark.parametrize("module", [*MAY_IMPORT, *MAY_IMPORT_WHEN_CALLED])
def test_every_rule_is_about_a_module_that_exists(module: str) -> None:
    assert module in modules()


def test_relative_imports_are_resolved() -> None:
    """The rules above would pass everything if this reading of imports were wrong."""
    statement = ast.parse("from ..schemas import networks").body[0]
    assert targets(statement, "gradhorizon.cli") == ["gradhorizon.schemas.networks"]


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


WEB = {"fastapi", "starlette", "uvicorn"}


def test_importing_the_client_loads_neither_scipy_nor_a_web_framework() -> None:
    heavy = WEB | {"scipy", "gradhorizon_service", "typer", "safetensors"}
    assert heavy & loaded_after("from gradhorizon import AsyncClient, Client, Diagnosis") == set()


def test_a_worker_process_loads_no_web_framework_and_no_wire_types() -> None:
    """It is started often and in numbers: what it imports is paid each time."""
    heavy = WEB | {"pydantic", "httpx", "gradhorizon", "asyncio", "multiprocessing"}
    statement = "import gradhorizon_service.processes.child, gradhorizon_service.processes.functions"
    assert heavy & loaded_after(statement) == set()
