"""Medians, quantiles and norms of magnitudes whose logarithm may be minus infinity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradhorizon_service.worker.statistics import log_norms, median, quantile, root_sum_of_squares

INF = np.inf


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert median(np.array([3.0, -1.0, 2.0, 10.0])) == 2.5


def test_zeros_are_the_lowest_values_of_a_median() -> None:
    assert median(np.array([-INF, -INF, 1.0])) == -INF
    assert median(np.array([-INF, 1.0, 2.0])) == 1.0


def test_half_a_batch_of_zeros_has_a_median_of_zero() -> None:
    """The geometric mean of nothing and something is nothing."""
    assert median(np.array([-INF, 1.0])) == -INF


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(-1e6, 1e6)), st.floats(0.0, 1.0))
def test_quantiles_of_finite_values_are_numpys(values: np.ndarray, q: float) -> None:
    assert quantile(values, q) == pytest.approx(np.quantile(values, q), rel=1e-12, abs=1e-9)


def test_a_quantile_between_a_zero_and_a_number_is_zero() -> None:
    assert quantile(np.array([-INF, 0.0, 1.0]), 0.1) == -INF


def test_a_quantile_above_the_zeros_does_not_see_them() -> None:
    values = np.array([-INF, -INF, 1.0, 2.0, 3.0])
    assert quantile(values, 0.9) == pytest.approx(2.6)


def test_a_quantile_at_the_first_number_above_the_zeros_is_that_number() -> None:
    assert quantile(np.array([-INF, 4.0, 5.0]), 0.5) == 4.0


def test_quantiles_of_nothing_but_zeros_are_zero() -> None:
    assert quantile(np.full(4, -INF), 0.9) == -INF


def test_quantiles_keep_the_other_axis() -> None:
    values = np.array([[0.0, 1.0, 2.0], [-INF, -INF, 7.0]])
    assert quantile(values, 0.5).tolist() == [1.0, -INF]


def test_the_norm_of_a_batch_is_the_root_of_the_sum_of_squares() -> None:
    assert np.exp(root_sum_of_squares(np.log([3.0, 4.0]))) == pytest.approx(5.0)


def test_the_norm_of_a_batch_survives_magnitudes_beyond_float64() -> None:
    assert root_sum_of_squares(np.array([5000.0, 5000.0])) == pytest.approx(
        5000.0 + 0.5 * np.log(2.0), rel=1e-15
    )
    assert root_sum_of_squares(np.array([-5000.0, -INF])) == -5000.0


def test_the_norm_of_a_batch_of_zeros_is_zero() -> None:
    assert root_sum_of_squares(np.full((2, 3), -INF)).tolist() == [-INF, -INF]


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_log_norms_hold_at_every_scale_of_float64(scale: float) -> None:
    assert log_norms(np.array([3.0, 4.0]) * scale) == pytest.approx(np.log(5.0) + np.log(scale), rel=1e-14)


def test_the_log_norm_of_zero_is_minus_infinity() -> None:
    assert log_norms(np.array([[0.0, 0.0], [0.0, 1.0]])).tolist() == [-INF, 0.0]


def test_the_norm_of_nothing_is_zero() -> None:
    assert root_sum_of_squares(np.zeros(0)) == -INF
