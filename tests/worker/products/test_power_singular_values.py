"""Every singular value of W^T for a million steps and more, against thousands of digits and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import Array
from gradhorizon_service.worker.products.factors import DenseFactors, Repeated
from gradhorizon_service.worker.products.power_singular_values import (
    log_singular_values_of_power,
    singular_values_of_repeated,
)
from gradhorizon_service.worker.products.singular_values import LogSingularValues, log_singular_values
from high_precision import log_singular_values_of_power as in_digits

SIZE, MILLION = 16, 10**6


def gaussian(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(seed: int, size: int) -> Array:
    return np.linalg.qr(gaussian(seed, size, size))[0]


def grcar(size: int) -> Array:
    return 0.3 * (np.triu(np.ones((size, size))) - np.triu(np.ones((size, size)), 4) - np.eye(size, k=-1))


def jordan(size: int, eigenvalue: float) -> Array:
    return eigenvalue * np.eye(size) + np.eye(size, k=1)


def assert_right(found: LogSingularValues, expected: Array, error: float = 1e-8) -> None:
    """Within the promised error, said to be reliable, and sorted; zeros are zeros."""
    lost = np.isneginf(expected)
    np.testing.assert_array_equal(np.isneginf(found.log_values[0]), lost)
    values, expected = found.log_values[0, ~lost], expected[~lost]
    np.testing.assert_array_less(np.abs(values - expected), error * np.maximum(1.0, np.abs(expected)))
    assert np.all(np.diff(values) <= 0.0)
    assert found.reliable.all()
    assert found.reason is None


# -- against thousands of digits -----------------------------------------------------------------------------

MATRICES = {
    "Gaussian": (gaussian(3, SIZE, SIZE) / 4, 1800),
    "Grcar": (grcar(SIZE), 250),
    "triangular, ascending": (
        np.triu(gaussian(1, SIZE, SIZE), 1) / 4 + np.diag(np.linspace(0.3, 1, SIZE)),
        800,
    ),
    "far from normal": (
        2.0 * np.triu(gaussian(2, SIZE, SIZE), 1) + np.diag(np.linspace(1.1, 0.1, SIZE)),
        1500,
    ),
    "Jordan block": (jordan(SIZE, 0.9), 200),
}


@pytest.mark.parametrize(("matrix", "digits"), MATRICES.values(), ids=MATRICES)
def test_a_thousand_steps_are_resolved_to_the_last_decade(matrix: Array, digits: int) -> None:
    assert_right(singular_values_of_repeated(matrix, 1000), in_digits(matrix, 1000, digits))


def test_twenty_thousand_steps_are_resolved_to_the_last_decade() -> None:
    matrix = orthogonal(0, 5) + 0.1 * gaussian(1, 5, 5)
    assert_right(log_singular_values_of_power(matrix, 20_000), in_digits(matrix, 20_000, 8_000))


@given(
    st.integers(0, 10**6),
    st.integers(2, 4),
    st.integers(1, 200),
    st.sampled_from(["full", "upper", "sparse"]),
)
@settings(max_examples=40)
def test_whatever_is_called_reliable_is_right(seed: int, size: int, steps: int, shape: str) -> None:
    matrix = gaussian(seed, size, size)
    if shape == "upper":
        matrix = np.triu(matrix)
    if shape == "sparse":
        matrix *= np.random.default_rng(seed).uniform(size=(size, size)) < 0.6
    found = log_singular_values_of_power(matrix, steps)
    if found.reliable[0]:
        assert_right(found, in_digits(matrix, steps, 1500))


# -- closed forms at a million steps -------------------------------------------------------------------------


def test_a_multiple_of_the_identity_is_exact_to_a_billionth_of_a_decade() -> None:
    found = singular_values_of_repeated(1.5 * np.eye(8), MILLION)
    np.testing.assert_allclose(found.log_values / np.log(10.0), MILLION * math.log10(1.5), atol=1e-9, rtol=0)
    assert found.reliable[0]


@pytest.mark.parametrize("size", [3, 64])
def test_an_orthogonal_matrix_keeps_norms(size: int) -> None:
    assert_right(singular_values_of_repeated(orthogonal(0, size), MILLION), np.zeros(size))


def test_a_scaled_orthogonal_matrix_multiplies_its_scale() -> None:
    expected = np.full(SIZE, MILLION * np.log(0.75))
    assert_right(singular_values_of_repeated(0.75 * orthogonal(1, SIZE), MILLION), expected, 1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["symmetric", "antisymmetric"])
def test_a_matrix_that_is_its_own_transpose_up_to_sign_multiplies_its_singular_values(sign: float) -> None:
    matrix = gaussian(2, SIZE, SIZE)
    matrix = matrix + sign * matrix.T
    expected = MILLION * np.log(np.linalg.svd(matrix, compute_uv=False))
    assert_right(singular_values_of_repeated(matrix, MILLION), expected, 1e-10)


def test_a_jordan_block_of_two_has_a_closed_form() -> None:
    """[[a, 1], [0, a]]^T = a^T [[1, T/a], [0, 1]], whose singular values are exp(+- asinh(T / 2a))."""
    spread = math.asinh(MILLION / 0.9 / 2)
    expected = MILLION * math.log(0.9) + np.array([spread, -spread])
    assert_right(singular_values_of_repeated(jordan(2, 0.9), MILLION), expected, 1e-12)


def test_a_long_jordan_block_adds_up_to_its_determinant() -> None:
    found = singular_values_of_repeated(jordan(SIZE, 0.9), MILLION)
    assert found.reliable[0]
    assert found.log_values.sum() == pytest.approx(SIZE * MILLION * math.log(0.9), rel=1e-12)
    assert np.ptp(found.log_values) > 100.0


def test_gaps_between_moduli_grow_with_the_steps() -> None:
    """In the limit ln sigma_i = T ln|lambda_i| + O(1)."""
    matrix = gaussian(3, SIZE, SIZE)
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    found = singular_values_of_repeated(matrix, MILLION)
    np.testing.assert_allclose(found.log_values[0] / MILLION, np.log(moduli), atol=1e-5)


def test_the_cost_does_not_depend_on_the_number_of_steps() -> None:
    matrix, steps = gaussian(4, 8, 8) / 3, 10**15
    found = singular_values_of_repeated(matrix, steps)
    slogdet = np.linalg.slogdet(matrix)[1]
    assert found.log_values.sum() == pytest.approx(steps * slogdet, rel=1e-12)
    assert found.reliable[0]


def test_huge_and_tiny_entries_only_shift_the_logarithms() -> None:
    matrix = gaussian(5, 6, 6)
    usual = singular_values_of_repeated(matrix, MILLION).log_values[0]
    for power in (200, -200):
        found = singular_values_of_repeated(matrix * 10.0**power, MILLION)
        assert_right(found, usual + MILLION * power * np.log(10.0), 1e-12)


# -- exact zeros ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 8, 16])
def test_nilpotent_matrices_leave_nothing(size: int) -> None:
    shift, frame = np.eye(size, k=1), orthogonal(6, size)
    for matrix in (shift, frame @ shift @ frame.T, np.zeros((size, size))):
        assert_right(singular_values_of_repeated(matrix, MILLION), np.full(size, -np.inf))


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
def test_a_nilpotent_part_dies_step_by_step(steps: int) -> None:
    """A Jordan block of three zeros loses a dimension a step, beside three that stay."""
    frame = orthogonal(7, 6)
    matrix = np.zeros((6, 6))
    matrix[:3, :3], matrix[3:, 3:] = jordan(3, 0.0), 2.0 * orthogonal(8, 3)
    found = log_singular_values_of_power(frame @ matrix @ frame.T, steps)
    expected = [*([steps * math.log(2.0)] * 3), *([0.0] * max(0, 3 - steps))]
    expected = np.concatenate([np.sort(expected)[::-1], np.full(min(3, steps), -np.inf)])
    assert_right(found, expected, 1e-12)


def test_a_projection_stays_what_it_is() -> None:
    frame = orthogonal(9, 6)[:, :2]
    expected = np.array([0.0, 0.0, *[-np.inf] * 4])
    assert_right(singular_values_of_repeated(frame @ frame.T, MILLION), expected)


def test_a_matrix_of_half_rank_is_a_product_of_its_thin_factors() -> None:
    """(A B)^T = A (B A)^(T - 1) B, with a regular B A."""
    A, B = gaussian(10, 6, 3), gaussian(11, 3, 6)
    found = singular_values_of_repeated(A @ B, 500)
    outer = [np.linalg.qr(B.T)[1].T, *[B @ A] * 499, np.linalg.qr(A)[1]]
    expected = log_singular_values(DenseFactors(np.stack(outer))).log_values[0]
    assert_right(found, np.concatenate([expected, np.full(3, -np.inf)]), 1e-10)


# -- identities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 48])
def test_both_ways_agree(size: int) -> None:
    matrix = gaussian(12, size, size) / size**0.5
    expected = log_singular_values(Repeated(matrix, 300)).log_values[0]
    assert_right(log_singular_values_of_power(matrix, 300), expected, 1e-10)


def test_the_transposed_matrix_has_the_same_singular_values() -> None:
    matrix = gaussian(13, SIZE, SIZE)
    found = singular_values_of_repeated(matrix.T, MILLION)
    assert_right(found, singular_values_of_repeated(matrix, MILLION).log_values[0], 1e-10)


def test_logarithms_add_up_to_that_of_the_determinant() -> None:
    found = singular_values_of_repeated(gaussian(14, 64, 64) / 8, MILLION)
    assert found.log_determinant_gap[0] < 1e-9 * np.abs(found.log_values).sum()


@pytest.mark.parametrize("way", [singular_values_of_repeated, log_singular_values_of_power])
def test_no_step_and_one_step_are_the_identity_and_the_matrix(
    way: Callable[[Array, int], LogSingularValues],
) -> None:
    matrix = gaussian(15, 5, 5)
    assert_right(way(matrix, 0), np.zeros(5), 1e-300)
    assert_right(way(matrix, 1), np.log(np.linalg.svd(matrix, compute_uv=False)), 1e-12)


def test_blocks_that_do_not_couple_go_separately() -> None:
    matrix = np.zeros((6, 6))
    matrix[:3, :3], matrix[3:5, 3:5], matrix[5, 5] = gaussian(16, 3, 3), jordan(2, 0.5), -3.0
    order = np.random.default_rng(17).permutation(6)
    blocks = [matrix[:3, :3], matrix[3:5, 3:5], matrix[5:, 5:]]
    values = np.concatenate([singular_values_of_repeated(block, MILLION).log_values[0] for block in blocks])
    assert_right(singular_values_of_repeated(matrix[order][:, order], MILLION), np.sort(values)[::-1], 1e-12)


# -- the choice, and honesty ---------------------------------------------------------------------------------


def test_few_steps_go_factor_by_factor() -> None:
    assert "sweep" in singular_values_of_repeated(gaussian(18, 8, 8), 5).algorithm
    assert "Schur" in singular_values_of_repeated(gaussian(18, 8, 8), 5000).algorithm


def test_where_the_schur_form_leaves_a_doubt_factors_decide() -> None:
    """The eigenvalues of a large Grcar matrix are ill conditioned, its powers are not."""
    assert not log_singular_values_of_power(grcar(64), 500).reliable[0]
    found = singular_values_of_repeated(grcar(64), 500)
    assert found.reliable[0]
    assert "sweep" in found.algorithm


def test_a_power_that_nothing_here_resolves_is_not_called_reliable() -> None:
    """Eigenvalues with condition numbers beyond 1e16 leave float64 nothing, and integers take too long."""
    matrix = 2.0 * np.triu(gaussian(19, 64, 64), 1) + np.diag(np.linspace(1.1, 0.1, 64))
    found = singular_values_of_repeated(matrix, MILLION)
    assert not found.reliable[0]
    assert "far from normal" in str(found.reason)
    assert np.isfinite(found.log_values).all()
