"""`gradhorizon clippings`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def gradients(tmp_path: Path) -> Path:
    np.savez(tmp_path / "gradients.npz", w=np.array([[3.0, 0.0]]), b=np.array([4.0]))
    return tmp_path / "gradients.npz"


def test_gradients_are_clipped_by_every_policy(run: Run, gradients: Path) -> None:
    result = run("clippings", gradients, "--clip-norm", 1, "--clip-norm", 10, "--clip-value", 2, "--json")
    assert result.exit_code == 0, result.stderr
    policies = json.loads(result.stdout)["policies"]
    assert [found["clipped"] for found in policies] == [True, False, True]
    assert policies[0]["total_norm"] == 5.0


def test_a_history_of_norms_gets_advice(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "norms.npy", np.random.default_rng(0).lognormal(0.0, 0.3, 500))
    result = run("clippings", tmp_path / "norms.npy")
    assert result.exit_code == 0, result.stderr
    assert "Thresholds to choose from" in result.stdout


def test_the_framework_is_the_one_named(run: Run, gradients: Path) -> None:
    result = run("clippings", gradients, "--clip-norm", 1, "--framework", "keras", "--json")
    assert json.loads(result.stdout)["policies"][0]["policy"]["framework"] == "keras"


def test_a_framework_without_a_norm_is_refused(run: Run, gradients: Path) -> None:
    result = run("clippings", gradients, "--framework", "keras")
    assert result.exit_code == 2
    assert "--clip-norm" in result.stderr
