"""The recorded PyTorch results that plain tests rest on are still what PyTorch says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def recorder(digits: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_truth", digits / "record_truth.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("digits-rnn-tanh", 1e-12), ("digits-rnn-exploding", 1e-7), ("digits-lstm", 1e-12)],
)
def test_autograd_reproduces_the_recorded_gradients(
    recorder: ModuleType, name: str, tolerance: float
) -> None:
    """The exploding network is chaotic: PyTorch itself is 4e-9 from extended precision there."""
    assert recorder.largest_difference(recorder.read_truth(name), recorder.record(name)) < tolerance


def test_every_recorded_checkpoint_is_rerecorded(recorder: ModuleType, digits: Path) -> None:
    assert {path.name.removesuffix(".truth.json") for path in digits.glob("*.truth.json")} == set(
        recorder.NAMES
    )
