"""A second way back, d steps at a time."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cases import CELLS, CellCase, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.products.companion import Companion
from gradhorizon_service.worker.runs import Run
from gradhorizon_service.worker.runs.stepped import SteppedRun

W, V = np.random.default_rng(0).standard_normal((2, 3, 3))


def started(case: CellCase, depth: int, **changed: object) -> Run:
    return runs.start(problem(case.network(), depth, **changed))


def scalar(w: float, v: float, delay: int, **more: object) -> CellCase:
    parameters = {"weights": np.array([[w]]), "skip_weights": np.array([[v]]), "delay": delay, **more}
    return CellCase("skip", parameters, size=delay, outputs=1)


def test_the_rate_of_a_linear_skip_is_the_dominant_root() -> None:
    """h_t = 0.5 h_{t-1} + 0.4 h_{t-5}: z^5 = 0.5 z^4 + 0.4."""
    run = started(scalar(0.5, 0.4, 5, activation="identity"), 200)
    roots = np.sort(np.abs(np.roots([1.0, -0.5, 0.0, 0.0, 0.0, -0.4])))[::-1]
    assert run.lyapunov(None).exponents[0] == pytest.approx(np.log(roots), rel=1e-10)
    change = np.diff(run.gradient_log_norms(np.arange(201), slice(0, 1))[:, 0])
    assert change[-1] == pytest.approx(np.log(roots[0]), rel=1e-9)


@pytest.mark.parametrize("combine", ["inside", "outside"])
def test_a_pure_delay_decays_once_in_a_round(combine: str) -> None:
    """With W = 0 the gradient is the skip weight to the number of whole delays, and the state passes it on between."""
    run = started(scalar(0.0, 0.25, 4, activation="identity", combine=combine), 40)
    found = run.gradient_log_norms(np.arange(41))[:, 0]
    assert found == pytest.approx(np.ceil(np.arange(41) / 4) * np.log(0.25), abs=1e-12)


@pytest.mark.parametrize(("combine", "alive"), [("inside", False), ("outside", True)])
def test_dead_units_leave_only_a_skip_outside_them(combine: str, alive: bool) -> None:
    case = scalar(0.5, 0.25, 2, activation="relu", combine=combine, bias=np.array(-1e3))
    run = started(case, 20)
    found = run.gradient_log_norms(np.array([20]))[0, 0]
    assert found == pytest.approx(10 * np.log(0.25)) if alive else found == -np.inf


@pytest.mark.parametrize("combine", ["inside", "outside"])
def test_gradients_through_saturated_units_are_those_of_extended_precision(combine: str) -> None:
    delay, depth = 3, 9
    inputs = np.random.default_rng(1).uniform(-30.0, 30.0, (1, depth, 3))
    start = np.random.default_rng(2).standard_normal(3 * delay)
    case = CellCase(
        "skip",
        {
            "weights": W,
            "skip_weights": V,
            "delay": delay,
            "combine": combine,
            "input_weights": np.eye(3),
        },
    )
    run = started(case, depth, inputs=GivenInputs(inputs), initial_state=GivenState(start))
    with mpmath.workdps(60):
        A, B = mpmath.matrix(W), mpmath.matrix(V)
        h = {-k: mpmath.matrix(start[3 * k : 3 * k + 3]) for k in range(delay)}
        slopes = {}
        for t in range(1, depth + 1):
            a = A * h[t - 1] + mpmath.matrix(inputs[0, t - 1])
            delayed = B * h[t - delay]
            phi = (a + delayed if combine == "inside" else a).apply(mpmath.tanh)
            slopes[t] = phi.apply(lambda y: 1 - y * y)
            h[t] = phi if combine == "inside" else phi + delayed
        total = {depth: mpmath.matrix([1.0] * 3)}
        for t in range(depth - 1, -1, -1):
            total[t] = mpmath.matrix(3, 1)
            for later, weights in ((t + 1, A), (t + delay, B)):
                if later <= depth:
                    scaled = [d * x for d, x in zip(slopes[later], total[later], strict=True)]
                    through = combine == "outside" and weights is B
                    total[t] += weights.T * (total[later] if through else mpmath.matrix(scaled))
        norms = [float(mpmath.norm(total[depth - k])) for k in range(depth + 1)]
    found = np.exp(run.gradient_log_norms(np.arange(depth + 1), run.parts["h"])[:, 0])  # type: ignore[index]
    assert found == pytest.approx(norms, rel=1e-10)


def test_the_state_is_the_last_values_of_h_the_newest_first() -> None:
    run = runs.start(problem_of(CELLS["skip tanh"]))
    assert isinstance(run, SteppedRun)
    states = np.asarray(run.trajectory.states)
    for k in (1, 2):
        assert np.array_equal(states[k:, :, 4 * k : 4 * k + 4], states[:-k, :, :4])


def test_a_skip_longer_than_the_depth_changes_nothing_but_what_it_starts_from() -> None:
    case = scalar(0.5, 0.4, 8, activation="identity")
    plain = CellCase("rnn", {"weights": np.array([[0.5]]), "activation": "identity"})
    lags = np.arange(7)
    assert started(case, 6).gradient_log_norms(lags, slice(0, 1)) == pytest.approx(
        started(plain, 6).gradient_log_norms(lags)
    )


def test_linear_states_twenty_thousand_steps_deep_stay_in_range() -> None:
    """h_t = 1.5 h_{t-2}."""
    run = started(scalar(0.0, 1.5, 2, activation="identity"), 20_000, initial_state=GivenState(np.ones(2)))
    ends = np.array([0, 20_000])
    for log_norms in (run.gradient_log_norms(ends), run.state_log_norms(ends)):
        assert np.diff(log_norms, axis=0) == pytest.approx(10_000 * np.log(1.5), rel=1e-10)


def test_nonlinear_steps_are_offered_as_products() -> None:
    run = runs.start(problem_of(CELLS["skip tanh"]))
    assert isinstance(run, SteppedRun)
    assert isinstance(run.factors, Companion)
