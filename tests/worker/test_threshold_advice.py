"""Threshold advice: the tail is cut and nothing else, and what the history cannot tell is not told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gradhorizon_service.worker.threshold_advice import FEWEST_FOR_A_TAIL, LARGEST_TAIL, advise, ceiling

RNG = np.random.default_rng(0)


def test_a_light_tail_is_cut_at_its_highest_hundredth() -> None:
    norms = RNG.lognormal(0.0, 0.3, 10_000)
    found = advise(norms)
    assert found.rule == "quantile_99"
    assert found.threshold == pytest.approx(np.quantile(norms, 0.99), rel=0.01)
    assert found.share_clipped == pytest.approx(0.01, abs=0.002)


def test_explosions_more_frequent_than_a_hundredth_are_cut_at_the_fence_of_the_bulk() -> None:
    norms = RNG.lognormal(0.0, 0.1, 10_000)
    norms[::25] = 1e6
    found = advise(norms)
    assert found.rule == "outlier_fence"
    assert found.threshold == pytest.approx(np.exp(0.35), rel=0.1)
    assert found.share_clipped == pytest.approx(0.04, abs=0.002)


def test_a_tail_beyond_all_measure_is_cut_at_ten_times_the_median() -> None:
    """A Cauchy-like tail: P(norm > x) = 1/x, median 2, 99 % quantile 100, and a tenth above 10."""
    norms = 1.0 / RNG.uniform(size=20_000)
    found = advise(norms)
    assert found.rule == "ten_medians"
    assert found.threshold == pytest.approx(20.0, rel=0.05)


def test_two_equal_populations_are_no_tail() -> None:
    """A fence above the lower one would clip 45 % of the steps."""
    norms = np.concatenate([RNG.lognormal(0.0, 0.01, 550), RNG.lognormal(2.0, 0.01, 450)])
    found = advise(norms)
    assert found.rule == "quantile_99"
    assert found.share_clipped is not None
    assert found.share_clipped <= LARGEST_TAIL


def test_a_constant_history_gets_a_safety_net_and_the_reason() -> None:
    found = advise(np.full(500, 0.7))
    assert found.rule == "no_tail"
    assert found.threshold == pytest.approx(7.0)
    assert found.share_clipped == 0.0
    assert found.mean_factor == 1.0
    assert "no tail to cut" in found.says


def test_one_norm_gets_a_range_and_no_threshold() -> None:
    found = advise(np.array([4.0]))
    assert found.threshold is None
    assert found.threshold_reason is not None
    assert (found.lowest, found.highest) == (2.0, 40.0)


@pytest.mark.parametrize("norms", [[0.0], [0.0, 0.0, np.nan], [np.inf], [np.nan] * 3])
def test_without_a_norm_there_is_no_advice(norms: list[float]) -> None:
    found = advise(np.array(norms))
    assert found.threshold is None
    assert found.range_reason is not None
    assert found.candidates == []


def test_norms_that_are_not_finite_are_left_out_and_told() -> None:
    norms = RNG.lognormal(0.0, 0.3, 1000)
    with_holes = np.concatenate([norms, [np.nan, np.inf]])
    assert advise(with_holes).threshold == advise(norms).threshold
    assert "2 of 1002 norms not finite" in advise(with_holes).says


def test_a_drift_is_told() -> None:
    assert "drift by -2 decades" in advise(np.geomspace(1000.0, 1.0, 3000)).says


def test_a_short_history_is_called_short() -> None:
    assert "20 norms say little" in advise(RNG.lognormal(size=20)).says


def test_candidates_say_what_they_would_have_done() -> None:
    norms = np.arange(1.0, 101.0)
    by_basis = {candidate.basis: candidate for candidate in advise(norms).candidates}
    half = by_basis["quantile 0.5"]
    assert half.threshold == 50.5
    assert half.share_clipped == 0.5
    assert half.mean_factor == pytest.approx(np.mean(np.minimum(1.0, 50.5 / norms)))
    assert by_basis["2 times the median"].share_clipped == 0.0
    thresholds = [candidate.threshold for candidate in advise(norms).candidates]
    assert thresholds == sorted(thresholds)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(2.3412, 2.35), (2.34, 2.34), (0.00099901, 0.001), (99999.0, 100000.0), (1e-320, 1e-320)],
)
def test_a_threshold_is_rounded_up_to_three_digits(value: float, rounded: float) -> None:
    assert value <= ceiling(value)
    assert ceiling(value) == pytest.approx(rounded, rel=1e-2 if value < 1e-300 else 1e-15)


def test_the_largest_float_is_rounded_to_itself() -> None:
    assert ceiling(1.7976931348623157e308) == 1.7976931348623157e308


@given(
    arrays.arrays(
        np.float64,
        st.integers(1, 60),
        elements=st.one_of(
            st.floats(min_value=0.0), st.just(np.nan), st.sampled_from([0.0, 1.0, 1e308, 5e-324])
        ),
    )
)
def test_whatever_the_history_numbers_are_finite_and_reasons_stand_beside_what_is_missing(
    norms: np.ndarray,
) -> None:
    found = advise(norms)
    assert (found.threshold is None) == (found.threshold_reason is not None)
    assert (found.lowest is None) == (found.range_reason is not None)
    numbers = [found.threshold, found.share_clipped, found.mean_factor, found.lowest, found.highest]
    for candidate in found.candidates:
        numbers += [candidate.threshold, candidate.share_clipped, candidate.mean_factor]
    assert np.isfinite([number for number in numbers if number is not None]).all()
    if found.threshold is not None:
        assert found.threshold > 0.0
        assert found.share_clipped is not None
        few = np.isfinite(norms).sum() < FEWEST_FOR_A_TAIL  # ten times the median is above half of them
        assert found.share_clipped <= (0.5 if few else max(LARGEST_TAIL, 1.0 / np.isfinite(norms).sum()))


def test_a_few_norms_are_judged_by_their_median() -> None:
    """The 99 % quantile of four norms is next to the largest, which is the one to cut."""
    advice = advise(np.array([0.9, 1.1, 45.0, 1.2]))
    assert advice.rule == "ten_medians"
    assert advice.threshold == pytest.approx(11.5)
    assert advice.highest is not None
    assert advice.threshold <= advice.highest * 1.01
