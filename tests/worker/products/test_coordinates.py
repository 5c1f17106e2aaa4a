"""Which coordinates matter, and the triangular form that powers are squared in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.coordinates import (
    eigenvalue_moduli,
    power_coordinates,
    quasi_triangular,
    reached_coordinates,
)


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.1, 0.3, 1.0]))
def test_a_quasi_triangular_form_is_an_orthogonal_similarity(seed: int, size: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((size, size)) * (rng.random((size, size)) < density)
    form, frame = quasi_triangular(matrix)
    assert frame.T @ frame == pytest.approx(np.eye(size), abs=1e-12)
    assert frame @ form @ frame.T == pytest.approx(matrix, abs=1e-12)
    assert not np.tril(form, -2).any()
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))
    assert np.prod(eigenvalue_moduli(form)) == pytest.approx(np.prod(moduli), abs=1e-9)


def test_a_shuffled_jordan_block_keeps_its_eigenvalue() -> None:
    """A dense reduction scatters it over a circle of radius eps^(1/16), a tenth."""
    order = np.random.default_rng(1).permutation(16)
    block = np.diag(np.full(16, 0.75)) + np.diag(np.ones(15), -1)
    form, _ = quasi_triangular(block[np.ix_(order, order)])
    assert np.array_equal(np.diagonal(form), np.full(16, 0.75))
    assert not np.tril(form, -1).any()


def test_eigenvalues_of_decoupled_blocks_stay_apart() -> None:
    matrix = np.zeros((4, 4))
    matrix[:2, :2] = [[0.0, -1e-30], [1e-30, 0.0]]
    matrix[2:, 2:] = [[1e30, 1.0], [0.0, 1e30]]
    assert sorted(eigenvalue_moduli(quasi_triangular(matrix)[0])) == pytest.approx(
        [1e-30, 1e-30, 1e30, 1e30], rel=1e-14
    )


@pytest.mark.parametrize(
    "matrix",
    [np.linalg.qr(gaussian(2, 9, 9))[0], gaussian(3, 40, 40) / 6, gaussian(4, 9, 9) + gaussian(4, 9, 9).T],
)
def test_ordinary_matrices_keep_their_coordinates(matrix: np.ndarray) -> None:
    assert power_coordinates(matrix, 10**6).frame is None


def test_a_non_normal_matrix_gets_others() -> None:
    vectors = gaussian(5, 6, 6) * np.geomspace(1.0, 1e6, 6)[:, None]
    matrix = vectors * np.linspace(0.5, 1.0, 6) @ np.linalg.inv(vectors)
    basis = power_coordinates(matrix, 1000)
    assert basis.frame is not None
    rows = gaussian(6, 2, 6)
    assert basis.leave(basis.enter(rows)) == pytest.approx(rows, abs=1e-12)


def test_vectors_are_grouped_by_what_they_can_reach() -> None:
    """0 -> 1 -> 2 is a chain, 3 is on its own."""
    matrix = np.zeros((4, 4))
    matrix[1, 0] = matrix[2, 1] = matrix[3, 3] = 1.0
    vectors = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 2.0], [0, 0, 0, 0], [3.0, 0, 1.0, 0]])
    groups = {tuple(coordinates): tuple(rows) for rows, coordinates in reached_coordinates(matrix, vectors)}
    assert groups == {(0, 1, 2): (0, 4), (2,): (1,), (3,): (2,)}
