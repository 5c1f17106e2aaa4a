"""Eigenvalues in reading order."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import by_modulus, eigenvalues_sorted, spectral_radius

GENERATOR = np.random.default_rng(0)
DENSE = GENERATOR.standard_normal((12, 12))
DEFECTIVE = 0.9 * np.eye(10) + 1.5 * np.eye(10, k=1)


def test_eigenvalues_are_those_of_numpy() -> None:
    np.testing.assert_allclose(
        np.sort_complex(eigenvalues_sorted(DENSE)), np.sort_complex(np.linalg.eigvals(DENSE)), rtol=1e-12
    )


def test_moduli_fall() -> None:
    moduli = np.abs(eigenvalues_sorted(DENSE))
    assert (np.diff(moduli) <= 0.0).all()


def test_members_of_a_pair_are_adjacent_with_the_upper_one_first() -> None:
    values = eigenvalues_sorted(DENSE)
    upper = np.flatnonzero(values.imag > 0.0)
    assert len(upper) > 0
    np.testing.assert_array_equal(values[upper + 1], values[upper].conj())


def test_repeated_pairs_stay_pairs() -> None:
    """Sorting by modulus alone would give i, i, -i, -i."""
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(eigenvalues_sorted(np.kron(np.eye(2), rotation)), [1j, -1j, 1j, -1j])


def test_equal_moduli_are_ordered_by_falling_real_part() -> None:
    values = np.array([-1.0, 0.6 - 0.8j, 0.6 + 0.8j, 1.0], dtype=np.complex128)
    np.testing.assert_array_equal(by_modulus(values), [1.0, 0.6 + 0.8j, 0.6 - 0.8j, -1.0])


@pytest.mark.parametrize("matrix", [DEFECTIVE, DEFECTIVE.T], ids=["upper", "lower"])
def test_triangular_matrix_has_exactly_its_diagonal(matrix: np.ndarray) -> None:
    np.testing.assert_array_equal(eigenvalues_sorted(matrix), np.full(10, 0.9))


def test_hidden_triangular_matrix_has_exactly_its_diagonal() -> None:
    """In another order of the coordinates nothing looks triangular; a dense solver is 0.05 off."""
    order = np.random.default_rng(1).permutation(10)
    np.testing.assert_array_equal(eigenvalues_sorted(DEFECTIVE[np.ix_(order, order)]), np.full(10, 0.9))


def test_block_triangular_matrix_has_the_eigenvalues_of_its_blocks() -> None:
    blocks = np.kron(np.eye(4), np.array([[0.5, -0.5], [0.5, 0.5]])) + 2.0 * np.eye(8, k=2)
    np.testing.assert_allclose(eigenvalues_sorted(blocks), np.tile([0.5 + 0.5j, 0.5 - 0.5j], 4), rtol=1e-15)


def test_symmetric_matrix_has_exactly_real_eigenvalues() -> None:
    values = eigenvalues_sorted(DENSE + DENSE.T)
    np.testing.assert_array_equal(values.imag, 0.0)


def test_badly_scaled_matrix_is_balanced_first() -> None:
    np.testing.assert_allclose(
        eigenvalues_sorted(np.array([[1.0, 1e200], [1e-200, 1.0]])), [2.0, 0.0], atol=1e-15
    )


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_eigenvalues_scale_with_the_matrix(scale: float) -> None:
    np.testing.assert_allclose(
        eigenvalues_sorted(scale * DENSE) / scale, eigenvalues_sorted(DENSE), rtol=1e-12
    )


def test_one_coordinate_is_its_own_eigenvalue() -> None:
    np.testing.assert_array_equal(eigenvalues_sorted(np.array([[-3.0]])), [-3.0])


def test_spectral_radius_is_the_largest_modulus() -> None:
    assert spectral_radius(np.array([[0.3, -0.4], [0.4, 0.3]])) == pytest.approx(0.5, rel=1e-15, abs=0.0)
    assert spectral_radius(np.eye(3, k=1)) == 0.0
