"""Norms under a diagonal recurrence, from its eigenvalues alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.diagonal_norms import (
    diagonal_first_crossing,
    diagonal_first_passages,
    diagonal_log_norms_at,
)
from gradhorizon_service.worker.products.first_crossing import Crossing, first_crossing
from gradhorizon_service.worker.products.levels import passages_of

LEVEL = np.log(1000.0)


def test_one_mode_gives_its_powers() -> None:
    steps = np.array([0, 1, 1000, 10**6])
    logs = diagonal_log_norms_at(np.array([1.5j]), np.array([[2.0], [1e-300]]), steps)
    assert logs == pytest.approx(steps[:, None] * np.log(1.5) + np.log([2.0, 1e-300]), rel=1e-14)


def test_rotations_keep_norms() -> None:
    rng = np.random.default_rng(0)
    eigenvalues, vectors = np.exp(1j * rng.uniform(0, 6, 50)), rng.standard_normal((3, 50))
    logs = diagonal_log_norms_at(eigenvalues, vectors, np.array([0, 10**6]))
    assert logs == pytest.approx(np.tile(np.log(np.linalg.norm(vectors, axis=1)), (2, 1)), abs=1e-9)


def test_zero_modes_count_at_step_zero_only() -> None:
    logs = diagonal_log_norms_at(
        np.array([0.0, 1.0]), np.array([[3.0, 4.0], [3.0, 0.0], [0, 0]]), np.array([0, 1, 5])
    )
    assert np.array_equal(logs[0], [np.log(5.0), np.log(3.0), -np.inf])
    assert np.array_equal(logs[2], [np.log(4.0), -np.inf, -np.inf])


def test_many_steps_are_worked_off_in_chunks() -> None:
    rng = np.random.default_rng(1)
    eigenvalues, vectors = rng.uniform(0.9, 1.0, 64), rng.standard_normal((8, 64))
    steps = np.arange(6000)
    logs = diagonal_log_norms_at(eigenvalues, vectors, steps)
    assert logs.shape == (6000, 8)
    assert logs[5999] == pytest.approx(diagonal_log_norms_at(eigenvalues, vectors, steps[-1:])[0], rel=1e-14)


@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([0, 1, 2, 50, 400]),
    st.sampled_from([0.001, 0.05, 1.0]),
    st.sampled_from([0.01, 0.5, 3.0, LEVEL]),
)
def test_crossings_equal_those_of_all_steps(
    seed: int, modes: int, batch: int, depth: int, spread: float, level: float
) -> None:
    rng = np.random.default_rng(seed)
    eigenvalues = np.exp(spread * rng.standard_normal(modes) + 1j * rng.random(modes)) * (
        rng.random(modes) < 0.9
    )
    vectors = np.exp(3.0 * rng.standard_normal((batch, modes)))
    logs = diagonal_log_norms_at(eigenvalues, vectors, np.arange(depth + 1))
    medians = np.median(logs - logs[0], axis=1)
    hits = [np.flatnonzero(sign * medians > level) for sign in (-1, 1)]
    expected = Crossing(*(int(hit[0]) if len(hit) else None for hit in hits))
    assert diagonal_first_crossing(eigenvalues, vectors, depth, level) == expected


def test_a_narrow_valley_among_a_million_steps_is_found() -> None:
    """The norm falls with the fast mode and rises with the slow one; both ends of the series are above the level."""
    eigenvalues, vector = np.array([0.9999, 1.00001]), np.array([[1.0, 8e-4]])
    logs = diagonal_log_norms_at(eigenvalues, vector, np.arange(200_001))[:, 0]
    level = -logs.min() - 1e-6
    below = np.flatnonzero(logs - logs[0] < -level)
    assert 0 < len(below) < 200
    assert diagonal_first_crossing(eigenvalues, vector, 200_000, level) == Crossing(int(below[0]), None)


def test_a_matrix_with_these_eigenvalues_crosses_at_the_same_steps() -> None:
    rng = np.random.default_rng(2)
    eigenvalues, vectors = 1.0 + 1e-4 * rng.standard_normal(20), rng.standard_normal((5, 20))
    assert diagonal_first_crossing(eigenvalues, vectors, 10**6, LEVEL) == first_crossing(
        np.diag(eigenvalues), vectors, 10**6, LEVEL
    )


def test_zero_vectors_have_no_say() -> None:
    assert diagonal_first_crossing(np.array([0.5]), np.array([[0.0], [1.0]]), 100, LEVEL) == Crossing(
        10, None
    )
    assert diagonal_first_crossing(np.array([0.5]), np.zeros((2, 1)), 100, LEVEL) == Crossing(None, None)


@pytest.mark.parametrize("seed", range(12))
def test_passages_of_the_norm_itself_match_every_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    eigenvalues, coefficients = rng.uniform(0.9, 1.05, 3), 10.0 ** rng.uniform(-9, 1, (3, 3))
    depth = int(rng.choice([0, 1, 2, 400]))
    series = np.median(diagonal_log_norms_at(eigenvalues, coefficients, np.arange(depth + 1)), axis=1)
    levels = rng.uniform(series.min() - 1.0, series.max() + 1.0, 10).tolist()
    assert diagonal_first_passages(eigenvalues, coefficients, depth, levels, levels) == passages_of(
        series, levels, levels
    )
