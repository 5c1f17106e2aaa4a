"""The plain cell deep in saturation, against mpmath, and where its spectral radius misleads."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cases import SATURATED, problem_of
from gradhorizon_service.worker.backprop import backpropagate
from gradhorizon_service.worker.cells import CELLS
from gradhorizon_service.worker.trajectory import run_forward


def precise_log_norms(
    name: str, weights: np.ndarray, drive: np.ndarray, start: np.ndarray, g: np.ndarray
) -> list[float]:
    """ln ||dL/ds_{T-k}|| of one sequence with 60 digits throughout."""
    phi = {"tanh": mpmath.tanh, "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a))}[name]
    slope = {"tanh": lambda y: 1 - y * y, "sigmoid": lambda y: y * (1 - y)}[name]
    with mpmath.workdps(60):
        W, state, slopes = mpmath.matrix(weights), mpmath.matrix(start), []
        for pushed in drive:
            state = (W * state + mpmath.matrix(pushed)).apply(phi)
            slopes.append(state.apply(slope))
        gradient = mpmath.matrix(g)
        logs = [float(mpmath.log(mpmath.norm(gradient)))]
        for step in reversed(slopes):
            gradient = W.T * mpmath.matrix([x * d for x, d in zip(gradient, step, strict=True)])
            logs.append(float(mpmath.log(mpmath.norm(gradient))))
    return logs


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_gradients_through_saturated_units_are_those_of_extended_precision(name: str) -> None:
    case = SATURATED[name]
    cell = case.network().build()
    inputs = problem_of(case).inputs
    assert inputs is not None
    built = inputs.build(case.depth)
    start = np.random.default_rng(0).standard_normal((3, case.size))
    g = np.random.default_rng(1).standard_normal((3, case.size))
    trajectory = run_forward(cell, start, built, case.depth)
    found = backpropagate(
        trajectory.linearisation, case.depth, lambda step: g if step == case.depth else None
    )
    drive = cell.drive(built, case.depth, 3)
    assert drive is not None
    expected = [
        precise_log_norms(name, case.parameters["weights"], drive[:, b], start[b], g[b]) for b in range(3)
    ]
    assert min(logs[-1] for logs in expected) < -25.0
    assert found.log_norms == pytest.approx(np.array(expected).T, abs=1e-11)


def test_a_network_of_spectral_radius_zero_can_explode() -> None:
    """W^2 = 0, and diag(1, 0) W has the eigenvalue 1.5: the radius of W bounds nothing once slopes differ."""
    W = 1.5 * np.array([[1.0, -1.0], [1.0, -1.0]])
    assert not (W @ W).any()
    cell = CELLS["rnn"].build(weights=W, activation="relu", bias=np.array([0.0, -1e20]))
    trajectory = run_forward(cell, np.array([[1.0, 0.0]]), None, 100)
    g = np.array([[1.0, 0.0]])
    found = backpropagate(trajectory.linearisation, 100, lambda step: g if step == 100 else None)
    expected = np.arange(1, 101) * np.log(1.5) + 0.5 * np.log(2.0)
    assert found.log_norms[1:, 0] == pytest.approx(expected, rel=1e-14)
