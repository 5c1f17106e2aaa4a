"""What norms prove about gradients: the statements of Pascanu, Mikolov and Bengio as they are."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import (
    PascanuConditions,
    delayed_conditions,
    kept_state_conditions,
    pascanu_conditions,
    spectral_norm,
    spectral_radius,
)

TRANSIENT = np.array([[0.5, 100.0], [0.0, 0.4]])
ORTHOGONAL = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))[0]


def conditions_of(matrix: np.ndarray, gamma: float = 1.0, *, linear: bool = False) -> PascanuConditions:
    return pascanu_conditions(spectral_radius(matrix), spectral_norm(matrix), gamma, linear=linear)


def test_linear_networks_are_judged_by_the_spectral_radius() -> None:
    found = conditions_of(TRANSIENT, linear=True)
    assert found.sufficient_for_vanishing
    assert not found.necessary_for_exploding


def test_nonlinear_networks_are_judged_by_the_largest_singular_value() -> None:
    """A radius of 0.5 does not keep one step from multiplying a gradient by 100."""
    found = conditions_of(TRANSIENT)
    assert not found.sufficient_for_vanishing
    assert found.necessary_for_exploding
    assert found.one_step_norm_bound == pytest.approx(100.0, rel=1e-2, abs=0.0)


@pytest.mark.parametrize(
    ("gamma", "vanishing", "exploding"), [(1.0, False, True), (0.5, False, False), (0.25, True, False)]
)
def test_threshold_is_one_over_the_largest_slope(gamma: float, vanishing: bool, exploding: bool) -> None:
    found = conditions_of(2.0 * np.eye(3), gamma)
    assert (found.sufficient_for_vanishing, found.necessary_for_exploding) == (vanishing, exploding)
    assert found.gamma == gamma
    assert found.one_step_norm_bound == 2.0 * gamma


@pytest.mark.parametrize("linear", [False, True])
def test_orthogonal_weights_neither_vanish_nor_explode(linear: bool) -> None:
    """Their norm is 1 to rounding, which must not decide."""
    assert not any(statement.holds for statement in conditions_of(ORTHOGONAL, linear=linear).statements)


def test_statements_on_the_radius_are_for_linear_networks_only() -> None:
    assert {s.quantity for s in conditions_of(TRANSIENT).statements} == {"spectral_norm"}
    assert {s.quantity for s in conditions_of(TRANSIENT, linear=True).statements} == {
        "spectral_norm",
        "spectral_radius",
    }


@pytest.mark.parametrize("scale", [0.1, 3.0])
@pytest.mark.parametrize("linear", [False, True])
def test_every_statement_says_what_it_compares_and_proves(scale: float, linear: bool) -> None:
    for statement in conditions_of(scale * ORTHOGONAL, linear=linear).statements:
        below = statement.name.endswith("vanishing")
        assert statement.holds == (
            statement.value < statement.threshold if below else statement.value > statement.threshold
        )
        assert statement.proves.endswith(".")
        assert statement.does_not_prove.endswith(".")


def test_names_of_the_statements_are_distinct() -> None:
    names = [statement.name for statement in conditions_of(TRANSIENT, linear=True).statements]
    assert len(set(names)) == 4


def test_a_sufficient_condition_that_fails_proves_nothing() -> None:
    statement = next(s for s in conditions_of(TRANSIENT).statements if s.name == "sufficient_for_vanishing")
    assert statement.proves.startswith("Nothing")


@pytest.mark.parametrize("norm", [0.5, 0.999, 1.001, 3.0])
@pytest.mark.parametrize("leak", [1e-6, 0.3, 1.0])
def test_leaky_units_shrink_every_gradient_exactly_where_the_norm_is_below_one_over_gamma(
    norm: float, leak: float
) -> None:
    found = kept_state_conditions(norm, 1.0, 1.0 - leak, leak, None)
    assert found.one_step_norm_bound == pytest.approx(1.0 - leak + leak * norm)
    assert found.sufficient_for_vanishing == (norm < 1.0) == (found.one_step_norm_bound < 1.0)
    assert found.necessary_for_exploding == (norm > 1.0)


@pytest.mark.parametrize("scale", [1e-6, -0.5, 1.0])
def test_no_norm_makes_residual_updates_vanish_and_only_zero_keeps_them_from_growing(scale: float) -> None:
    found = kept_state_conditions(0.1, 0.25, 1.0, scale, None)
    assert found.one_step_norm_bound == pytest.approx(1.0 + abs(scale) * 0.025)
    assert (found.sufficient_for_vanishing, found.necessary_for_exploding) == (False, True)
    assert not kept_state_conditions(0.0, 0.25, 1.0, scale, None).necessary_for_exploding


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_bound_of_a_kept_state_is_attained(sign: float) -> None:
    """W a multiple of the identity and the steepest slope: r I + g W has that norm where the signs agree."""
    found = kept_state_conditions(2.0, 1.0, 1.0, sign * 0.5, None)
    assert spectral_norm(np.eye(3) + sign * 0.5 * (sign * 2.0 * np.eye(3))) == found.one_step_norm_bound


@pytest.mark.parametrize("delay", [2, 5])
@pytest.mark.parametrize(("recurrent", "skipped"), [(0.5, 0.4), (0.3, 0.7), (0.9, 0.4), (0.0, 2.0)])
def test_a_skip_does_to_gradients_what_the_sum_of_its_gains_allows(
    recurrent: float, skipped: float, delay: int
) -> None:
    """Scalars attain the bound on one step; at a sum of 0.9 everything ends, at 1 nothing exceeds sqrt(d)."""
    found = delayed_conditions(recurrent, skipped, 1.0, delay, None)
    step = np.eye(delay, k=-1)
    step[0, 0], step[0, -1] = recurrent, step[0, -1] + skipped
    assert spectral_norm(step) == pytest.approx(found.one_step_norm_bound)
    norms = [spectral_norm(np.linalg.matrix_power(step, k)) for k in range(1, 400)]
    gain = recurrent + skipped
    assert found.sufficient_for_vanishing == (gain < 1.0 - 1e-9)
    assert found.necessary_for_exploding == (gain > 1.0 + 1e-9)
    if found.sufficient_for_vanishing:
        assert norms[-1] < 1e-3
    if not found.necessary_for_exploding:
        assert max(norms) <= np.sqrt(delay) * (1.0 + 1e-12)


def test_the_radius_of_a_linear_step_is_judged_under_its_own_name() -> None:
    for found in (
        kept_state_conditions(3.0, 1.0, 0.8, 0.2, 0.56),
        delayed_conditions(3.0, 1.0, 1.0, 2, 0.56),
    ):
        assert found.statements[0].quantity == "step_spectral_radius"
        assert found.sufficient_for_vanishing
        assert not found.necessary_for_exploding
