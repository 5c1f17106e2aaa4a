"""Histories of gradient norms: order statistics, spread and tail of known distributions, and what is odd."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.grid import thinned_evenly
from gradhorizon_service.worker.norm_history import (
    SHOWN_STEPS,
    describe,
    hill,
    norm_statistics,
    robust_spread,
)

RNG = np.random.default_rng(0)


def test_order_statistics_are_numpys() -> None:
    norms = RNG.lognormal(0.0, 1.0, 501)
    found = norm_statistics(norms)
    for name, q in {"min": 0.0, "q10": 0.1, "median": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}.items():
        assert getattr(found, f"log10_{name}") == pytest.approx(np.log10(np.quantile(norms, q)), abs=1e-12)
    assert found.log10_mean == pytest.approx(np.log10(norms.mean()), abs=1e-12)


def test_the_mean_of_norms_near_the_end_of_float64_does_not_overflow() -> None:
    assert norm_statistics(np.full(4, 1.5e308)).log10_mean == pytest.approx(np.log10(1.5e308), abs=1e-12)


def test_zeros_are_the_lowest_norms() -> None:
    found = norm_statistics(np.array([0.0, 0.0, 0.0, 1.0, 10.0]))
    assert found.log10_median == -np.inf
    assert found.log10_max == 1.0


def test_the_spread_of_a_lognormal_is_its_sigma_whatever_the_outliers() -> None:
    logs = RNG.normal(0.0, 0.3, 20_000)
    assert robust_spread(logs) == pytest.approx(0.3, rel=0.03)
    logs[:1000] = 50.0
    assert robust_spread(logs) == pytest.approx(0.3, rel=0.1)


def test_outliers_lie_three_and_a_half_deviations_above_the_median() -> None:
    norms = np.concatenate([RNG.lognormal(0.0, 0.2, 1000), [1e3, 1e4]])
    found = norm_statistics(norms)
    assert found.spread_decades is not None
    fence = found.log10_median + 3.5 * found.spread_decades
    assert found.outliers == int((np.log10(norms) > fence).sum()) >= 2


def test_outliers_need_a_spread() -> None:
    found = norm_statistics(np.array([1.0, 1.0, 1.0, 50.0]))
    assert found.outliers is None
    assert found.outliers_reason is not None


@pytest.mark.parametrize("alpha", [0.5, 1.5, 3.0])
def test_the_tail_index_of_a_pareto_distribution_is_its_exponent(alpha: float) -> None:
    """ln of a Pareto variable is exponential with rate alpha."""
    found = hill(RNG.exponential(1.0 / alpha, 40_000))
    assert isinstance(found, tuple)
    index, error = found
    assert error == pytest.approx(index / np.sqrt(2000))
    assert abs(index - alpha) < 4 * error


def test_a_few_norms_have_no_tail() -> None:
    assert "100 are needed" in str(hill(np.zeros(99)))


def test_equal_norms_have_no_tail() -> None:
    assert "no tail" in str(hill(np.zeros(200)))


def test_drift_compares_the_medians_of_the_outer_thirds() -> None:
    assert norm_statistics(np.repeat([100.0, 10.0, 1.0], 50)).drift_decades == pytest.approx(-2.0)
    assert norm_statistics(np.ones(29)).drift_decades is None
    assert norm_statistics(np.repeat([0.0, 1.0, 1.0], 50)).drift_decades_reason is not None


def test_what_is_odd_is_told_by_its_steps() -> None:
    norms = np.array([1.0, np.nan, 0.0, np.inf, 2.0, np.nan])
    found = describe(norms, 256)
    assert {event.kind: event.steps.tolist() for event in found.events} == {
        "nan": [1, 5],
        "infinite": [3],
        "zero": [2],
    }
    assert (found.count, found.finite) == (6, 3)
    assert found.step.tolist() == [0, 2, 4]
    assert found.log10_norm.tolist() == [0.0, -np.inf, np.log10(2.0)]


def test_many_odd_steps_are_counted_and_the_first_listed() -> None:
    (event,) = describe(np.zeros(1000), 10).events
    assert event.count == 1000
    assert event.steps.tolist() == list(range(SHOWN_STEPS))


def test_a_history_without_a_finite_norm_has_no_statistics() -> None:
    found = describe(np.array([np.nan, np.inf]), 10)
    assert found.statistics is None
    assert found.statistics_reason is not None
    assert len(found.step) == 0


@pytest.mark.parametrize(("count", "most"), [(5, 5), (6, 5), (1000, 2), (1000, 256)])
def test_a_thinned_series_holds_both_ends(count: int, most: int) -> None:
    shown = thinned_evenly(np.arange(count), most)
    assert len(shown) <= most
    assert (shown[0], shown[-1]) == (0, count - 1)
    assert (np.diff(shown) > 0).all()
