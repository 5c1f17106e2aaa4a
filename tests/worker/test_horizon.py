"""The horizon's definition, fact by fact; series are natural logarithms by lag and sequence."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.horizon import (
    LN10,
    Crossing,
    Horizon,
    assemble,
    crossing_of,
    level_nats,
    median_change,
    undefined,
)


def decades(*values: float) -> np.ndarray:
    return np.array(values) * LN10


def crossed(changes: np.ndarray, level: float = 0.001) -> Crossing:
    return crossing_of(changes, level_nats(level))


def horizon_of(changes: np.ndarray, level: float = 0.001) -> Horizon:
    """The horizon of a whole series, as the entry point puts it together."""
    found = crossed(changes, level)
    end = len(changes) - 1 if found.first is None else found.first
    return assemble(level, len(changes) - 1, {level: found}, float(changes[end]))


def test_a_gradient_exactly_at_the_level_has_not_passed_it() -> None:
    """0.1^3 is the level 0.001 itself, whichever way it was rounded: the first lag beyond it is 4."""
    series = np.log(np.cumprod(np.full(8, 0.1)) / 0.1)
    assert crossed(series).decay == 4


def test_a_gradient_that_grows_exactly_to_the_level_has_not_passed_it() -> None:
    assert crossed(np.arange(8) * LN10).growth == 4


@pytest.mark.parametrize(("slack", "passed"), [(0.5e-9, None), (2e-9, 1)])
def test_the_slack_is_a_billionth_of_a_decade(slack: float, passed: int | None) -> None:
    assert crossed(decades(0.0, -3.0 - slack)).decay == passed


def test_the_first_of_decay_and_growth_is_the_horizon() -> None:
    found = crossed(decades(0.0, 4.0, -5.0, 6.0))
    assert (found.growth, found.decay, found.first) == (1, 2, 1)


def test_a_gradient_that_comes_back_has_crossed_all_the_same() -> None:
    assert crossed(decades(0.0, -4.0, -1.0, 0.0)).first == 1


def test_an_exact_zero_is_a_decay() -> None:
    assert crossed(np.array([0.0, -np.inf])).decay == 1


def test_the_change_is_taken_sequence_by_sequence() -> None:
    """Sequences that start at different sizes and shrink alike have one horizon."""
    log_norms = decades(0.0, -1.0, -2.0)[:, None] + decades(0.0, 100.0, -300.0)
    assert median_change(log_norms) == pytest.approx(decades(0.0, -1.0, -2.0), rel=1e-12)


def test_the_change_is_the_median_over_the_batch() -> None:
    log_norms = np.array([[0.0, 0.0, 0.0], [-1.0, -5.0, -100.0]])
    assert median_change(log_norms)[1] == -5.0


def test_a_sequence_without_a_gradient_is_left_out() -> None:
    log_norms = np.array([[0.0, -np.inf, 0.0], [-2.0, -np.inf, -4.0]])
    assert median_change(log_norms)[1] == -3.0


def test_a_batch_without_a_gradient_has_no_change() -> None:
    assert np.isnan(median_change(np.full((3, 2), -np.inf))).all()


def test_a_horizon_names_its_direction() -> None:
    assert horizon_of(decades(0.0, -2.0, -4.0)).direction == "decay"
    assert horizon_of(decades(0.0, 2.0, 4.0)).direction == "growth"


def test_a_horizon_that_is_reached_is_not_censored() -> None:
    found = horizon_of(decades(0.0, -2.0, -4.0, -6.0))
    assert (found.steps, found.censored, found.extrapolated_steps) == (2, False, None)


def test_decades_per_step_end_at_the_horizon() -> None:
    assert horizon_of(decades(0.0, -1.0, -5.0, -100.0)).decades_per_step == pytest.approx(-2.5)


def test_decades_per_step_end_at_the_depth_where_the_horizon_is_not_reached() -> None:
    found = horizon_of(decades(0.0, 1.0, -1.0))
    assert (found.steps, found.censored) == (None, True)
    assert found.decades_per_step == pytest.approx(-0.5)


def test_extrapolation_follows_the_rate_to_the_level() -> None:
    """-0.4 decades a step pass 3 decades at step 8: 7 steps are 2.8."""
    assert horizon_of(decades(0.0, -0.4, -0.8)).extrapolated_steps == 8


def test_extrapolation_agrees_with_the_horizon_of_a_longer_series() -> None:
    """At -1 decade a step, the level itself is met at lag 3 and passed at lag 4, seen or extrapolated."""
    short, long = -np.arange(4) * LN10, -np.arange(9) * LN10
    assert horizon_of(short).extrapolated_steps == horizon_of(long).steps == 4


def test_a_gradient_that_keeps_its_norm_extrapolates_to_nowhere() -> None:
    found = horizon_of(np.zeros(5))
    assert (found.censored, found.extrapolated_steps, found.decades_per_step) == (True, None, 0.0)


def test_a_rate_too_small_for_an_integer_extrapolates_to_nowhere() -> None:
    assert horizon_of(decades(0.0, -1e-30)).extrapolated_steps is None


def test_an_exact_zero_at_the_horizon_has_no_rate_and_says_so() -> None:
    found = horizon_of(np.array([0.0, -np.inf]))
    assert found.decades_per_step is None
    assert "exactly zero" in (found.decades_per_step_reason or "")


def test_levels_come_from_the_highest_to_the_lowest() -> None:
    changes = decades(0.0, -0.5, -2.5, -3.5)
    crossings = {level: crossed(changes, level) for level in (0.001, 0.5, 0.01)}
    found = assemble(0.001, 3, crossings, float(changes[3]))
    assert [(at.level, at.steps) for at in found.levels] == [(0.5, 1), (0.01, 2), (0.001, 3)]


def test_a_gradient_of_zero_has_no_horizon_and_is_not_censored() -> None:
    found = undefined(0.2)
    assert (found.steps, found.censored) == (None, False)
    assert "zero at lag 0" in (found.decades_per_step_reason or "")
    assert [at.level for at in found.levels] == [0.5, 0.2, 0.1, 0.01, 0.001]
