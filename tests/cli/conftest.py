"""The command line, run in this process, and files to give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import stamina
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from gradhorizon.cli import app

Run = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def no_proxy() -> Iterator[None]:
    """Nothing here leaves this machine, whatever proxy it uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retries happen as often as the client wants, without sleeping."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
def run() -> Run:
    """Run a command; its exit code, standard output and standard error come back apart."""

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})

    return invoke


@pytest.fixture
def layer() -> dict[str, np.ndarray]:
    """One nn.RNN(3, 2) inside a larger model, by PyTorch's names."""
    return {
        "model.rnn.weight_hh_l0": np.array([[0.5, 0.1], [0.0, 0.5]], dtype=np.float32),
        "model.rnn.weight_ih_l0": np.ones((2, 3), dtype=np.float32),
        "model.rnn.bias_ih_l0": np.zeros(2, dtype=np.float32),
        "model.rnn.bias_hh_l0": np.zeros(2, dtype=np.float32),
        "model.head.weight": np.ones((4, 2), dtype=np.float32),
    }


@pytest.fixture
def checkpoint(tmp_path: Path, layer: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(layer, path)
    return path


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.npy"
    np.save(path, np.array([[0.5, 1.0], [0.0, 0.5]]))
    return path
