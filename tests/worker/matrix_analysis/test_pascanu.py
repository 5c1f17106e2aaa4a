"""What norms prove about gradients: the statements of Pascanu, Mikolov and Bengio as they are."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import (
    PascanuConditions,
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
