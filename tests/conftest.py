"""What every test shares: reproducible property tests, one BLAS thread, and peers only when asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
FRAMEWORKS = ("torch", "keras", "jax", "flax", "onnx", "onnxruntime", "onnxscript")

# No deadline: on a shared machine the first example pays for imports and caches, and a slow test has its timeout.
# Derandomized: the same commit gives the same examples, so a failure in continuous integration is a failure here.
hypothesis.settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("reproducible")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--peers", action="store_true", help="also run tests/peers, which compare with other frameworks"
    )


def pytest_configure(config: pytest.Config) -> None:
    missing = [name for name in FRAMEWORKS if importlib.util.find_spec(name) is None]
    if config.getoption("--peers") and missing:
        raise pytest.UsageError(f"--peers needs {', '.join(missing)}: `scripts/test --peers` installs them")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the peers, unless asked for by the option or by naming one of their files."""
    if collection_path != PEERS or config.getoption("--peers"):
        return None
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    return None if any(path.resolve().is_relative_to(PEERS) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(PEERS):
            item.add_marker(pytest.mark.peers)


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Tests compute as worker processes do, and leave the other cores to other tests."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def digits() -> Path:
    """The folder with two real checkpoints, the batch they saw, and what PyTorch's autograd said."""
    return ROOT / "examples" / "digits"
