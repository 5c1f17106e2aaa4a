"""Gradients of eigenvalues and of what they are made of, at depths where only logarithms hold them."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from cases import CELLS, CellCase, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.runs.diagonal import DiagonalRun, SteppedDiagonalRun

UNDRIVEN = [
    name
    for name, case in CELLS.items()
    if case.cell == "diagonal" and case.width is None and "decays" not in case.parameters
]


def undriven(depth: int, state: Any, cotangent: Any, **fields: Any) -> runs.Run:
    asked = problem(
        CellCase("diagonal", fields).network(),
        depth,
        initial_state=GivenState(np.asarray(state)),
        loss=CotangentLoss(np.asarray(cotangent)),
    )
    run = runs.start(asked)
    assert isinstance(run, DiagonalRun)
    return run


@pytest.mark.parametrize("name", UNDRIVEN)
@pytest.mark.parametrize("burn_in", [0, 3])
def test_closed_forms_are_those_of_stepping(name: str, burn_in: int) -> None:
    asked = problem_of(CELLS[name], burn_in=burn_in)
    quick, slow = runs.start(asked), runs.step_by_step(asked, asked.network.build())
    assert isinstance(quick, DiagonalRun)
    assert isinstance(slow, SteppedDiagonalRun)
    expected = slow.parameter_gradients()
    assert set(quick.parameter_gradients()) == set(expected)
    for parameter, gradient in quick.parameter_gradients().items():
        assert gradient.values() == pytest.approx(expected[parameter].values(), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("depth", [1, 1000, 10**6, 10**7])
def test_lru_near_the_unit_circle_is_what_high_precision_says(depth: int) -> None:
    """L = Re(conj(g) lambda^T h) for one mode: dL/dnu = -T Re(..), dL/dtheta = T Re(conj(g) i lambda^T h)."""
    nu, theta, h, g = 1e-12, 2.0, (0.6, -0.8), (1.0, 0.5)
    found = undriven(
        depth, h, g, lru={"nu": np.array([nu]), "theta": np.array([theta])}
    ).parameter_gradients()
    with mpmath.workdps(40):
        # The eigenvalue is a pair of float64 numbers, which a high power tells from exp(-nu + i theta).
        multiplier = mpmath.mpmathify(complex(np.exp(-nu) * np.exp(1j * theta)))
        z = mpmath.mpc(*g).conjugate() * depth * multiplier**depth * mpmath.mpc(*h)
        expected = {"nu": -float(z.real), "theta": float((1j * z).real)}
    for name, value in expected.items():
        assert found[name].values() == pytest.approx([value], rel=1e-10)


@pytest.mark.parametrize("modulus", [1.0 - 1e-12, 1.0, 1.0 + 1e-12, 0.5, 3.0])
def test_the_gradient_of_a_real_eigenvalue_is_a_power_at_any_depth(modulus: float) -> None:
    depth = 10**6
    found = undriven(depth, [3.0], [2.0], eigenvalues=np.array([modulus + 0j])).parameter_gradients()
    with mpmath.workdps(30):
        expected = float(mpmath.log(6 * depth) + (depth - 1) * mpmath.log(mpmath.mpf(modulus)))
    assert found["eigenvalues"].log_norm == pytest.approx(expected, rel=1e-12)
    assert found["eigenvalues"].array[0, 1] == 0.0


def test_a_dead_mode_has_a_gradient_for_one_step_only() -> None:
    assert undriven(1, [3.0], [2.0], eigenvalues=np.zeros(1, complex)).parameter_gradients()[
        "eigenvalues"
    ].values() == pytest.approx(np.array([[6.0, 0.0]]))
    dead = undriven(2, [3.0], [2.0], eigenvalues=np.zeros(1, complex))
    assert dead.parameter_gradients()["eigenvalues"].log_norm == -np.inf
    shares = dead.shares(np.arange(2))
    assert shares is not None
    assert shares.cumulative_95 is None


def test_a_parameter_without_effect_hides_no_other() -> None:
    """d lambda / d step = A lambda is zero for an integrator, and 10^-43429 of the other mode is still not nothing."""
    modes = {"A": np.array([0j, -1.0 + 0j]), "step": np.array([0.1, 0.1]), "discretization": "zoh"}
    found = undriven(10**6, [1.0, 1.0], [1.0, 1.0], s4d=modes).parameter_gradients()
    assert found["A"].log_norm == pytest.approx(np.log(10**6 * 0.1))
    assert found["step"].log_norm == pytest.approx(np.log(10**6) - 0.1 * 10**6, rel=1e-12)
    assert found["step"].array[0] == 0.0


def test_one_step_for_all_modes_has_the_sum_of_their_gradients() -> None:
    A = np.array([-0.5, -0.3 + 2j])
    state, cotangent = [1.0, 2.0, -0.5], [0.3, 1.0, 0.7]
    shared, own = (
        undriven(
            9, state, cotangent, s4d={"A": A, "step": step, "discretization": "zoh"}
        ).parameter_gradients()
        for step in (np.array(0.2), np.full(2, 0.2))
    )
    assert shared["step"].values() == pytest.approx([np.sum(own["step"].values())], rel=1e-13)


def test_states_and_cotangents_may_lie_anywhere() -> None:
    """1e-200 times 1e-200 is no float64, and has a logarithm."""
    run = undriven(5, [1e-200, 1.0], [1e-200, 0.0], eigenvalues=np.array([1.0, 0.5 + 0j]))
    assert run.parameter_gradients()["eigenvalues"].log_norm == pytest.approx(
        np.log(5.0) - 400.0 * np.log(10.0)
    )


def test_equal_shares_are_counted_and_not_listed() -> None:
    shares = undriven(10**7, [1.0], [1.0], eigenvalues=np.ones(1, complex)).shares(
        np.array([0, 10**6, 10**7])
    )
    assert shares is not None
    assert shares.lag.tolist() == [0, 10**6]
    assert np.exp(shares.log_norm - shares.log_sum) == pytest.approx([1e-7, 1e-7])
    assert shares.cumulative_95 == 9_500_000
