"""`gradhorizon spectrum`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from typer.testing import Result

Run = Callable[..., Result]


def test_eigenvalues_of_a_triangle_are_its_diagonal(run: Run, matrix: Path) -> None:
    result = run("spectrum", matrix, "--json")
    assert result.exit_code == 0, result.stderr
    assert np.allclose(
        json.loads(result.stdout)["spectrum"]["eigenvalues"], [[0.5, 0.0], [0.5, 0.0]], atol=1e-7
    )


def test_table_names_radius_and_peak(run: Run, matrix: Path) -> None:
    result = run("spectrum", matrix)
    assert result.stdout.startswith("2 x 2")
    assert "spectral radius" in result.stdout
    assert "peak of log10 norm(W^k)" in result.stdout


def test_only_square_matrix_of_a_checkpoint_is_taken(run: Run, checkpoint: Path) -> None:
    assert json.loads(run("spectrum", checkpoint, "--json").stdout)["shape"] == [2, 2]


def test_choice_between_several_is_the_readers(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.eye(2), b=np.eye(3))
    result = run("spectrum", tmp_path / "a.npz")
    assert result.exit_code == 2
    assert "2 square matrices; name one with --tensor" in result.stderr
    assert run("spectrum", tmp_path / "a.npz", "--tensor", "b").exit_code == 0


def test_matrix_that_is_not_square_is_refused_by_name(run: Run, checkpoint: Path) -> None:
    result = run("spectrum", checkpoint, "--tensor", "model.rnn.weight_ih_l0")
    assert result.exit_code == 2
    assert "$.source" in result.stderr
