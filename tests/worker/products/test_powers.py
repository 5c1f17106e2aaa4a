"""Powers and sums of powers whose magnitudes are far outside float64."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.ladders import PowerLadder, ScaledPower, scaled, unit_rows
from gradhorizon_service.worker.products.powers import power, power_sum


def log_entries(value: ScaledPower) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.abs(value.matrix)) + value.log_scale


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def explicit_sum(a: np.ndarray, x: np.ndarray, b: np.ndarray, p: int) -> np.ndarray:
    terms = [np.linalg.matrix_power(a, k) @ x @ np.linalg.matrix_power(b, p - 1 - k) for k in range(p)]
    return np.sum(terms, axis=0) if terms else np.zeros_like(x)


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 0.3, 1.0, 1e200])
def test_scaling_is_exact(scale: float) -> None:
    matrix = scale * np.array([[1.0, 0.25], [-0.125, 0.0]])
    value = scaled(matrix)
    assert 0.5 <= np.abs(value.matrix).max() < 1.0
    assert np.array_equal(np.ldexp(value.matrix, value.exponent), matrix)


def test_three_halves_to_the_millionth_has_176091_decades() -> None:
    assert log_entries(power(np.array([[1.5]]), 10**6))[0, 0] / np.log(10) == pytest.approx(
        176091.2590556812, rel=1e-14
    )


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_entries_keep_their_digits(scale: float) -> None:
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    value = power(scale * rotation, 1000)
    assert log_entries(value) == pytest.approx(
        log_entries(power(rotation, 1000)) + 1000 * np.log(scale), rel=1e-13
    )


def test_powers_agree_with_200_digits() -> None:
    matrix = gaussian(0, 5, 5)
    with mpmath.workdps(200):
        exact = mpmath.matrix(matrix.tolist()) ** 1000
        reference = np.array([[float(mpmath.log(abs(exact[i, j]))) for j in range(5)] for i in range(5)])
    assert log_entries(power(matrix, 1000)) == pytest.approx(reference, abs=1e-9)


def test_the_power_zero_is_the_identity() -> None:
    assert np.array_equal(np.exp(log_entries(power(gaussian(1, 3, 3), 0))), np.eye(3))


def test_a_nilpotent_matrix_ends_at_zero() -> None:
    shift = np.diag(np.ones(6), 1)
    assert power(shift, 6).matrix.any()
    assert not power(shift, 7).matrix.any()


def test_a_rotated_nilpotent_matrix_almost_ends_at_zero() -> None:
    """Rounded to float64 it is none any more; what is left is a power of that rounding."""
    frame = np.linalg.qr(gaussian(3, 4, 4))[0]
    assert log_entries(power(frame @ np.diag(np.ones(3), 1) @ frame.T, 40)).max() < -250


def test_a_ladder_reports_when_float64_cannot_hold_a_transient() -> None:
    """||J^k|| of a Jordan block of size 256 rises over 1000 nats, beside which its diagonal underflows."""
    ladder = PowerLadder(np.diag(np.full(256, 0.9999)) + np.diag(np.ones(255), 1))
    ladder.rung(6)
    assert ladder.is_resolved
    ladder.rung(14)
    assert not ladder.is_resolved


@pytest.mark.parametrize("p", range(9))
def test_sums_equal_their_terms(p: int) -> None:
    a, x, b = gaussian(4, 3, 3), gaussian(5, 3, 4), gaussian(6, 4, 4)
    value = power_sum(a, x, b, p).value
    assert np.ldexp(value.matrix, value.exponent) == pytest.approx(
        explicit_sum(a, x, b, p), rel=1e-12, abs=1e-12
    )


@given(st.floats(0.5, 2.0), st.integers(1, 10**6))
def test_a_scalar_sum_is_p_times_a_power(factor: float, p: int) -> None:
    one = np.array([[factor]])
    value = power_sum(one, np.ones((1, 1)), one, p).value
    assert log_entries(value)[0, 0] == pytest.approx(
        np.log(p) + (p - 1) * np.log(factor), rel=1e-11, abs=1e-9
    )


def test_a_sum_is_the_weight_gradient_of_a_linear_recurrence() -> None:
    """dL/dW of L = g . W^T h by central differences."""
    weights, state, cotangent, depth = 0.4 * gaussian(7, 4, 4), gaussian(8, 4), gaussian(9, 4), 12
    value = power_sum(weights.T, np.outer(cotangent, state), weights.T, depth).value
    gradient = np.empty((4, 4))
    for index in np.ndindex(4, 4):
        step = np.zeros((4, 4))
        step[index] = 1e-6
        ends = [cotangent @ np.linalg.matrix_power(weights + sign * step, depth) @ state for sign in (1, -1)]
        gradient[index] = (ends[0] - ends[1]) / 2e-6
    assert np.ldexp(value.matrix, value.exponent) == pytest.approx(gradient, rel=1e-6, abs=1e-9)


def test_cancellation_is_reported() -> None:
    """(-1)^k 1^(p-1-k) sums to 0 or 1, whatever the number of terms."""
    alternating = power_sum(-np.eye(1), np.ones((1, 1)), np.eye(1), 2)
    assert alternating.cancellation == np.inf
    assert not alternating.value.matrix.any()
    assert power_sum(np.eye(1), np.ones((1, 1)), np.eye(1), 1000).cancellation == pytest.approx(
        0.0, abs=1e-12
    )


def test_a_non_normal_sum_keeps_its_digits() -> None:
    """Eigenvectors of condition 1e6: squaring W itself loses all digits within ten doublings."""
    rng = np.random.default_rng(11)
    vectors = (
        np.linalg.qr(rng.standard_normal((8, 8)))[0]
        * np.geomspace(1e3, 1e-3, 8)
        @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    )
    weights = vectors * np.linspace(0.9, 1.0, 8) @ np.linalg.inv(vectors)
    x, total = rng.standard_normal((8, 8)), np.zeros((8, 8), np.longdouble)
    left, a = [x.astype(np.longdouble)], weights.astype(np.longdouble)
    for _ in range(999):
        left.append(a @ left[-1])
    for term in left:  # Horner's scheme for sum A^k X A^(p-1-k)
        total = total @ a + term
    value = power_sum(weights, x, weights, 1000).value
    ratio = np.ldexp(value.matrix, value.exponent) / total.astype(np.float64)
    assert ratio == pytest.approx(np.ones((8, 8)), abs=1e-3)


def test_unit_rows_work_where_squares_leave_float64() -> None:
    rows = np.array([[3e-300, 4e-300], [3e300, 4e300], [0.0, 0.0], [5e-324, 0.0]])
    units, logs = unit_rows(rows)
    assert units == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]), rel=1e-12)
    assert logs == pytest.approx([np.log(5e-300), np.log(5e300), -np.inf, np.log(5e-324)], rel=1e-14)
