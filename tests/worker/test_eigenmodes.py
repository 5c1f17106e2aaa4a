"""Eigenvectors on both sides, and coefficients in them."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.eigenmodes import DiagonalModes, EigenModes, eigenmodes

ROTATION = np.array([[0.6, -0.8], [0.8, 0.6]])


def entries(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


MATRICES = {
    "general": entries(6, 6),
    "symmetric": entries(6, 6) + entries(6, 6).T,
    "rotation": ROTATION,
    "tiny": 1e-200 * entries(4, 4),
    "huge": 1e200 * entries(4, 4),
    "triangular": np.triu(entries(5, 5)),
}


@pytest.fixture(params=MATRICES)
def matrix(request: pytest.FixtureRequest) -> Array:
    return MATRICES[request.param]


def test_both_sides_are_eigenvectors(matrix: Array) -> None:
    found, size = eigenmodes(matrix), np.abs(matrix).max()
    right, left = found.right * found.eigenvalues, found.left * found.eigenvalues
    assert matrix @ found.right / size == pytest.approx(right / size, abs=1e-12)
    assert matrix.T @ found.left / size == pytest.approx(left / size, abs=1e-12)


def test_eigenvectors_have_norm_one(matrix: Array) -> None:
    found = eigenmodes(matrix)
    assert np.linalg.norm(found.right, axis=0) == pytest.approx(np.ones(len(matrix)))
    assert np.linalg.norm(found.left, axis=0) == pytest.approx(np.ones(len(matrix)))


def test_the_largest_modulus_comes_first(matrix: Array) -> None:
    moduli = np.abs(eigenmodes(matrix).eigenvalues)
    assert (np.diff(moduli) <= 1e-12 * moduli[0]).all()


def test_eigenvalues_far_below_the_largest_are_in_order_too() -> None:
    values = eigenmodes(np.diag([1.0, -1e-14, 1e-15, -1e-13])).eigenvalues
    assert values.real.tolist() == [1.0, -1e-13, -1e-14, 1e-15]
    upper = np.diag([1.0, -1e-14, 1e-15, -1e-13]) + np.diag([1e-20] * 3, 1)
    assert eigenmodes(upper).eigenvalues.real == pytest.approx(
        [1.0, -1e-13, -1e-14, 1e-15], rel=1e-9, abs=0.0
    )


def test_a_pair_is_adjacent_with_the_positive_imaginary_part_first() -> None:
    blocks = np.zeros((4, 4))
    blocks[:2, :2], blocks[2:, 2:] = ROTATION, ROTATION.T @ ROTATION.T
    values = eigenmodes(blocks).eigenvalues
    assert values[1::2] == pytest.approx(values[0::2].conj())
    assert (values[0::2].imag > 0).all()


def test_coefficients_put_a_vector_together_again(matrix: Array) -> None:
    found, vectors = eigenmodes(matrix), entries(3, len(matrix))
    right, left = found.right_coefficients(vectors), found.left_coefficients(vectors)
    assert right is not None
    assert left is not None
    assert right @ found.right.T == pytest.approx(vectors, abs=1e-9)
    assert left @ found.left.T == pytest.approx(vectors, abs=1e-9)


def test_a_jordan_block_has_no_coefficients() -> None:
    assert eigenmodes(np.array([[1.0, 1.0], [0.0, 1.0]])).right_coefficients(np.ones((1, 2))) is None


def test_an_eigenvector_is_aligned_with_its_mode() -> None:
    found = eigenmodes(MATRICES["symmetric"])
    assert found.alignment(2, found.right[:, [2, 3]].real.T) == pytest.approx([1.0, 0.0], abs=1e-12)


def test_every_vector_of_a_plane_is_aligned_with_its_rotation() -> None:
    assert eigenmodes(ROTATION).alignment(0, np.array([[1.0, 0.0], [-3.0, 2.0]])) == pytest.approx([1.0, 1.0])


BLOCKS = BlockDiagonal(np.array([0.5, 0.3 + 0.8j, -0.9, 0.2 + 0.1j]))


def pair() -> tuple[DiagonalModes, EigenModes]:
    return DiagonalModes(BLOCKS), eigenmodes(BLOCKS.times(np.eye(BLOCKS.size)).T)


def test_a_diagonal_recurrence_has_the_modes_of_its_matrix() -> None:
    diagonal, dense = pair()
    assert diagonal.eigenvalues == pytest.approx(dense.eigenvalues)


def test_coefficients_of_a_diagonal_recurrence_have_the_moduli_of_its_matrix() -> None:
    diagonal, dense = pair()
    vectors = entries(3, BLOCKS.size)
    expected = dense.right_coefficients(vectors)
    assert expected is not None
    assert diagonal.right_coefficients(vectors) == pytest.approx(np.abs(expected))
    assert diagonal.left_coefficients(vectors) == pytest.approx(np.abs(expected))


@pytest.mark.parametrize("index", range(BLOCKS.size))
def test_alignment_in_a_diagonal_recurrence_is_that_of_its_matrix(index: int) -> None:
    diagonal, dense = pair()
    vectors = entries(3, BLOCKS.size)
    assert diagonal.alignment(index, vectors) == pytest.approx(dense.alignment(index, vectors))
