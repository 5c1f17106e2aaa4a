"""Units that keep a share of their state: leaky, residual and echo state cells share their step."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cases import CELLS, Array, CellCase, problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.problem import NetworkSpec
from gradhorizon_service.worker.products.factors import Repeated, RowScaled, Shifted
from gradhorizon_service.worker.runs.stepped import SteppedRun

W = np.random.default_rng(0).standard_normal((4, 4))
LAGS = np.arange(21)


def network(cell: str, **parameters: object) -> NetworkSpec:
    return CellCase(cell, {"weights": W, **parameters}).network()


def stepped(spec: NetworkSpec, depth: int, **changed: object) -> SteppedRun:
    run = runs.start(
        problem(spec, depth, **{"initial_state": GivenState(np.array([0.3, -0.2, 1.0, 0.5])), **changed})
    )
    assert isinstance(run, SteppedRun)
    return run


def test_a_leak_rate_of_one_is_the_plain_cell() -> None:
    leaky, plain = (
        stepped(spec, 20) for spec in (network("leaky", leak_rate=1.0), network("rnn", activation="tanh"))
    )
    assert leaky.gradient_log_norms(LAGS) == pytest.approx(plain.gradient_log_norms(LAGS), rel=1e-13)
    assert isinstance(leaky.factors, RowScaled)


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        (network("leaky", leak_rate=0.1, activation="relu", bias=np.array(-1e3)), 0.9),
        (network("residual", scale=2.0, activation="relu", bias=np.array(-1e3)), 1.0),
        (network("echo_state", leak_rate=0.25, activation="relu", bias=np.array(-1e3)), 0.75),
    ],
)
def test_dead_units_pass_on_what_they_keep(spec: NetworkSpec, kept: float) -> None:
    """Time constant -1/ln(1 - a): a dead plain unit would pass on nothing."""
    run = stepped(spec, 20)
    found = run.gradient_log_norms(LAGS)[:, 0]
    assert found - found[0] == pytest.approx(LAGS * np.log(kept), abs=1e-13)
    assert run.lyapunov(None).exponents == pytest.approx(np.full((1, 4), np.log(kept)), abs=1e-13)
    assert run.singular_values().log_values == pytest.approx(np.full((1, 4), 20 * np.log(kept)), abs=1e-12)


def test_gradients_at_a_zero_state_are_powers_of_the_linear_step() -> None:
    run = stepped(network("leaky", leak_rate=0.3), 10, initial_state=None)
    J = 0.7 * np.eye(4) + 0.3 * W
    expected = [np.linalg.norm(np.linalg.matrix_power(J.T, k) @ np.ones(4)) for k in range(11)]
    assert np.exp(run.gradient_log_norms(np.arange(11))[:, 0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("retention", "gain"), [(0.7, 0.3), (1.0, -2.0)])
def test_gradients_through_saturated_units_are_those_of_extended_precision(
    retention: float, gain: float
) -> None:
    """Pre-activations of 40: slopes of 1e-34 beside a kept share of the state."""
    spec = network(
        "leaky" if retention < 1.0 else "residual",
        **({"leak_rate": gain} if retention < 1.0 else {"scale": gain}),
        input_weights=np.eye(4),
    )
    inputs = np.random.default_rng(1).uniform(-40.0, 40.0, (1, 8, 4))
    run = stepped(spec, 8, inputs=GivenInputs(inputs))
    with mpmath.workdps(60):
        M, state, slopes = mpmath.matrix(W), mpmath.matrix([0.3, -0.2, 1.0, 0.5]), []
        for x in inputs[0]:
            h = (M * state + mpmath.matrix(x)).apply(mpmath.tanh)
            slopes.append(h.apply(lambda y: 1 - y * y))
            state = retention * state + gain * h
        g, weights = mpmath.matrix([1.0] * 4), mpmath.matrix(4, 4)
        norms = [float(mpmath.norm(g))]
        for step in reversed(range(8)):
            delta = mpmath.matrix([gain * d * x for d, x in zip(slopes[step], g, strict=True)])
            before = mpmath.matrix([float(v) for v in run.trajectory.states[step][0]])
            weights += delta * before.T
            g = retention * g + M.T * delta
            norms.append(float(mpmath.norm(g)))
    assert np.exp(run.gradient_log_norms(np.arange(9))[:, 0]) == pytest.approx(norms, rel=1e-10)
    found = run.parameter_gradients()["weights"].values()
    assert found == pytest.approx(np.array(weights.tolist(), dtype=float), rel=1e-9)


def test_a_linear_leaky_step_is_one_matrix() -> None:
    run = stepped(CELLS["leaky identity"].network(), 6, inputs=GivenInputs(np.ones((1, 6, 2))))
    assert isinstance(run.factors, Repeated)
    expected = 0.7 * np.eye(4) + 0.3 * CELLS["leaky identity"].parameters["weights"]
    assert run.step_matrix == pytest.approx(expected, rel=1e-15)


def test_nonlinear_steps_are_offered_as_products() -> None:
    assert isinstance(stepped(network("leaky", leak_rate=0.3), 6).factors, Shifted)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_linear_states_twenty_thousand_steps_deep_stay_in_range(factor: float) -> None:
    """W = (factor - 0.7) / 0.3 I: every step multiplies by the factor, forward and backward."""
    depth = 20_000
    spec = network("leaky", leak_rate=0.3, activation="identity", weights=(factor - 0.7) / 0.3 * np.eye(4))
    run = stepped(spec, depth)
    assert run.outcome.kind == "completed"
    ends = np.array([0, depth])
    for log_norms in (run.gradient_log_norms(ends), run.state_log_norms(ends)):
        assert log_norms[1] - log_norms[0] == pytest.approx(depth * np.log(factor), rel=1e-9)
    weights = run.parameter_gradients()["weights"].log_norm
    start = run.state_log_norms(np.array([0]))[0, 0]
    expected = np.log(0.3 * 2.0 * depth) + (depth - 1) * np.log(factor) + start
    assert weights == pytest.approx(expected, rel=1e-9)


def test_echo_state_weights_get_the_spectral_radius_asked_for_and_no_gradient() -> None:
    spec = network("echo_state", spectral_radius=0.9, leak_rate=0.5)
    run = stepped(spec, 5)
    assert np.abs(np.linalg.eigvals(run.cell.matrix)).max() == pytest.approx(0.9)  # type: ignore[arg-type]
    assert run.parameter_gradients() == {}
    assert run.shares(np.arange(5)) is None


def test_no_factor_gives_nilpotent_weights_a_spectral_radius() -> None:
    spec = network("echo_state", spectral_radius=0.9, weights=np.array([[0.0, 4.0], [0.0, 0.0]]))
    with pytest.raises(CannotRun, match="spectral radius 0") as refused:
        spec.build()
    assert refused.value.field == "network.spectral_radius"


def test_a_scale_that_takes_the_weights_out_of_float64_is_refused() -> None:
    with pytest.raises(CannotRun) as refused:
        network("residual", scale=1e200, weights=1e150 * np.eye(2)).build()
    assert refused.value.field == "network.scale"


def effective(spec: NetworkSpec) -> Array:
    return np.linalg.eigvals(spec.build().linear_part)  # type: ignore[attr-defined, no-any-return]


def test_a_leak_may_stabilise_what_the_weights_alone_do_not() -> None:
    """An eigenvalue of -1.2 at a leak rate of 0.2 becomes 0.8 - 0.24 = 0.56."""
    assert effective(network("leaky", leak_rate=0.2, weights=np.array([[-1.2]]))) == pytest.approx([0.56])
