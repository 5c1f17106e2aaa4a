"""Inputs and initial states."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.drives import (
    EigenvectorState,
    GaussianInputs,
    GaussianState,
    GivenInputs,
    GivenState,
    ZeroInputs,
)
from gradhorizon_service.worker.errors import CannotRun


def test_given_inputs_turn_to_steps_first() -> None:
    values = np.arange(24.0).reshape(2, 4, 3)
    assert np.array_equal(GivenInputs(values).build(4)[1], values[:, 1])


def test_gaussian_inputs_have_their_standard_deviation() -> None:
    built = GaussianInputs(0.5, 20, 5, seed=1).build(400)
    assert built.shape == (400, 20, 5)
    assert built.std() == pytest.approx(0.5, rel=0.02)
    assert built.mean() == pytest.approx(0.0, abs=0.01)


def test_the_same_seed_draws_the_same_inputs() -> None:
    assert np.array_equal(GaussianInputs(1.0, 2, 3, 5).build(4), GaussianInputs(1.0, 2, 3, 5).build(4))


def test_a_longer_run_starts_with_the_inputs_of_a_shorter_one() -> None:
    inputs = GaussianInputs(1.0, 2, 3, seed=5)
    assert np.array_equal(inputs.build(9)[:4], inputs.build(4))


def test_zero_inputs_are_zero() -> None:
    assert ZeroInputs(2, 3).build(4).shape == (4, 2, 3)
    assert not ZeroInputs(2, 3).build(4).any()


def test_one_row_of_a_state_serves_every_sequence() -> None:
    assert GivenState(np.array([1.0, 2.0])).build(3, 2, None).tolist() == [[1.0, 2.0]] * 3


def test_a_unit_state_has_norm_one_in_every_sequence() -> None:
    rows = GaussianState(7.0, seed=0, unit=True).build(3, 4, None)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3))


def test_an_eigenvector_state_only_grows() -> None:
    matrix = np.random.default_rng(0).standard_normal((5, 5))
    matrix = matrix + matrix.T
    moduli = np.sort(np.abs(np.linalg.eigvalsh(matrix)))[::-1]
    for index in range(5):
        (state,) = EigenvectorState(index).build(1, 5, matrix)
        assert np.linalg.norm(state) == pytest.approx(1.0)
        assert np.linalg.norm(matrix @ state) == pytest.approx(moduli[index])


def test_an_eigenvector_of_a_rotation_lies_in_its_plane() -> None:
    matrix = np.diag([0.0, 0.0, 0.5])
    matrix[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    (state,) = EigenvectorState(1).build(1, 3, matrix)
    assert np.linalg.norm(state[:2]) == pytest.approx(1.0)


def test_an_eigenvector_of_a_spectrum_is_a_coordinate() -> None:
    blocks = BlockDiagonal(np.array([0.5, -2.0, 1.0]))
    assert EigenvectorState(0).build(1, 3, blocks).tolist() == [[0.0, 1.0, 0.0]]
    assert EigenvectorState(2).build(1, 3, blocks).tolist() == [[1.0, 0.0, 0.0]]


def test_an_eigenvector_needs_a_matrix() -> None:
    with pytest.raises(CannotRun, match="initial_state"):
        EigenvectorState(0).build(1, 3, None)
