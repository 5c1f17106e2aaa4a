"""Norms of W^k v, where every k is answered without a loop over k."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.power_norms import (
    log_norm_series,
    log_norms_and_directions_at,
    log_norms_at,
    median_over_batch,
)

DEEP = np.array([0, 1, 2, 77, 1000, 123_456, 10**6])


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def by_loop(matrix: np.ndarray, vectors: np.ndarray, depth: int, dtype: type = np.float64) -> np.ndarray:
    """One product a step, renormalised."""
    matrix, rows, total = matrix.astype(dtype), vectors.astype(dtype), np.zeros(len(vectors), dtype)
    logs = np.empty((depth + 1, len(vectors)))
    for k in range(depth + 1):
        norms = np.sqrt((rows**2).sum(axis=1))
        total = total + np.log(norms)
        logs[k], rows = total, rows / norms[:, None] @ matrix.T
    return logs


def test_orthogonal_weights_keep_norms() -> None:
    matrix, vectors = np.linalg.qr(gaussian(0, 30, 30))[0], gaussian(1, 3, 30)
    logs = log_norms_at(matrix, vectors, DEEP)
    assert logs == pytest.approx(np.tile(np.log(np.linalg.norm(vectors, axis=1)), (len(DEEP), 1)), abs=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 0.5, -1.5, 1e200])
def test_a_scalar_gives_its_powers(factor: float) -> None:
    logs = log_norms_at(np.array([[factor]]), np.array([[2.0], [1e-300]]), DEEP)
    expected = DEEP[:, None] * np.log(abs(factor)) + np.log([2.0, 1e-300])
    assert logs == pytest.approx(expected, rel=1e-14)


def test_sampled_norms_equal_the_loop() -> None:
    matrix, vectors = gaussian(2, 40, 40) / 6, gaussian(3, 5, 40)
    steps = np.array([500, 0, 3, 3, 64, 499])
    assert log_norms_at(matrix, vectors, steps) == pytest.approx(
        by_loop(matrix, vectors, 500)[steps], abs=1e-10
    )


@pytest.mark.parametrize("depth", [0, 1, 63, 64, 65, 700])
def test_the_series_equals_the_loop(depth: int) -> None:
    matrix, vectors = gaussian(4, 30, 30) / 5, gaussian(5, 3, 30)
    assert log_norm_series(matrix, vectors, depth) == pytest.approx(
        by_loop(matrix, vectors, depth), abs=1e-11
    )


def test_small_matrices_with_wide_blocks_equal_the_loop() -> None:
    matrix, vectors = gaussian(6, 2, 2), gaussian(7, 4, 2)
    assert log_norm_series(matrix, vectors, 5000) == pytest.approx(by_loop(matrix, vectors, 5000), abs=1e-9)


def test_a_vector_out_of_reach_of_a_growing_mode_decays() -> None:
    """W^(2^j) scaled to its largest entry loses 0.5^(2^j) beside 1.5^(2^j), but e_2 feels nothing else."""
    logs = log_norms_at(np.diag([1.5, 0.5]), np.eye(2), np.array([10**6]))
    assert logs[0] == pytest.approx(10**6 * np.log([1.5, 0.5]), rel=1e-14)
    lower = np.array([[1.5, 1.0], [0.0, 0.5]])
    assert log_norms_at(lower, np.eye(2), np.array([10**6]))[0] == pytest.approx(
        10**6 * np.log(1.5) + np.array([0.0, 0.0]), rel=1e-9
    )
    assert log_norms_at(lower.T, np.eye(2)[1:], np.array([10**6]))[0, 0] == pytest.approx(10**6 * np.log(0.5))


def test_exact_zeros_are_minus_infinity() -> None:
    shift = np.diag(np.ones(3), 1)
    logs = log_norms_at(shift, np.array([[0.0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]), np.arange(5))
    assert np.array_equal(logs[:, 0], [0, 0, 0, 0, -np.inf])
    assert np.array_equal(logs[:, 1], [0, -np.inf, -np.inf, -np.inf, -np.inf])
    assert np.all(logs[:, 2] == -np.inf)
    assert np.array_equal(log_norm_series(shift, np.eye(4)[3:], 5)[:, 0], [0, 0, 0, 0, -np.inf, -np.inf])


@pytest.mark.parametrize("condition", [1e3, 1e5, 1e7])
def test_non_normal_matrices_keep_their_digits(condition: float) -> None:
    """Errors grow like those of a loop; squaring W itself loses the fourth power of the condition."""
    rng = np.random.default_rng(8)
    left, right = (np.linalg.qr(rng.standard_normal((12, 12)))[0] for _ in range(2))
    vectors = left * np.geomspace(1.0, condition, 12) @ right
    matrix = vectors * np.linspace(0.7, 1.0, 12) @ np.linalg.inv(vectors)
    start = rng.standard_normal((1, 12))
    reference = by_loop(matrix, start, 1000, np.longdouble)
    error = np.abs(log_norms_at(matrix, start, np.arange(1001)) - reference).max()
    assert error < 1e-15 * condition**2 + 1e-10
    assert np.abs(log_norm_series(matrix, start, 1000) - reference).max() < 1e-15 * condition**2 + 1e-10


def test_directions_are_those_of_the_power() -> None:
    matrix, vectors = gaussian(9, 6, 6), gaussian(10, 2, 6)
    logs, directions = log_norms_and_directions_at(matrix, vectors, np.array([0, 5, 9]))
    expected = np.stack([vectors @ np.linalg.matrix_power(matrix, k).T for k in (0, 5, 9)])
    assert np.exp(logs)[..., None] * directions == pytest.approx(expected, rel=1e-10)


def test_directions_of_deep_powers_are_the_dominant_eigenvector() -> None:
    matrix = gaussian(11, 8, 8)
    values, vectors = np.linalg.eigh(matrix + matrix.T)
    dominant = vectors[:, np.argmax(np.abs(values))]
    _, directions = log_norms_and_directions_at(matrix + matrix.T, gaussian(12, 1, 8), np.array([10**6]))
    assert abs(directions[0, 0] @ dominant) == pytest.approx(1.0, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 10**5), st.integers(0, 10**5))
def test_steps_can_be_taken_in_two_parts(seed: int, size: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, vectors = rng.standard_normal((size, size)), rng.standard_normal((2, size))
    logs, directions = log_norms_and_directions_at(matrix, vectors, np.array([first, first + second]))
    onward = log_norms_at(matrix, directions[0], np.array([second]))[0]
    assert logs[0] + onward == pytest.approx(logs[1], abs=1e-6)


def test_medians_count_zeros_as_lowest() -> None:
    values = np.array([[1.0, -np.inf, 3.0], [-np.inf, -np.inf, 3.0]])
    assert np.array_equal(median_over_batch(values), [1.0, -np.inf])
    assert np.array_equal(median_over_batch(np.array([[4.0, 1.0], [-np.inf, 1.0]])), [2.5, -np.inf])
