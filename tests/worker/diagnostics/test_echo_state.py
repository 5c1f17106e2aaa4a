"""Two conditions that are about different things, and what happens under the input itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import CELLS, LOSSES, Array, CellCase, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS
from gradhorizon_service.worker.diagnostics.echo_state import EchoState, echo_state
from gradhorizon_service.worker.drives import GaussianInputs, GivenInputs, Inputs, ZeroInputs
from gradhorizon_service.worker.trajectory import run_forward

WITNESS = np.array([[2.0, -0.5], [3.25, -0.5]])


def of(
    weights: Array,
    cell: str = "rnn",
    inputs: Inputs | None = None,
    width: int = 1,
    depth: int = 200,
    **more: Any,
) -> EchoState:
    parameters = {"weights": weights, "input_weights": np.ones((len(weights), width)), **more}
    given = inputs or GaussianInputs(1.0, 4, width, seed=1)
    return echo_state(
        runs.start(problem(CellCase(cell, parameters).network(), depth, inputs=given, batch=given.batch))
    )


def test_a_radius_below_one_does_not_make_states_forget() -> None:
    """The witness: radius sqrt(0.625), no input, and two stable fixed points beside zero."""
    found = of(WITNESS, inputs=ZeroInputs(1, 1))
    assert found.effective_spectral_radius == pytest.approx(np.sqrt(0.625))
    assert found.spectral_radius_condition.holds
    assert "echo state property" not in found.spectral_radius_condition.proves.lower()
    assert "echo state property" in found.spectral_radius_condition.does_not_prove.lower()
    assert not found.sigma_max_condition.holds
    cell = CellCase("rnn", {"weights": WITNESS}).network().build()
    fixed = np.array([0.8162496841, 0.9740475527])
    starts = np.array([[1e-3, 0.0], fixed + 0.01, -fixed - 0.01])
    ends = run_forward(cell, starts, None, 500).states[-1]
    assert ends == pytest.approx(np.array([[0.0, 0.0], fixed, -fixed]), abs=1e-9)


def test_a_contraction_has_the_echo_state_property() -> None:
    found = of(0.9 * np.eye(3), cell="leaky", leak_rate=0.2)
    assert found.sigma_max_condition.holds
    assert found.sigma_max_condition.value == pytest.approx(0.8 + 0.2 * 0.9)
    assert "echo state property" in found.sigma_max_condition.proves
    assert found.conditional_lyapunov_exponent is not None
    assert found.conditional_lyapunov_exponent <= np.log(0.98)


def test_the_effective_radius_counts_the_leak() -> None:
    found = of(np.array([[-1.2]]), cell="leaky", leak_rate=0.2)
    assert found.effective_spectral_radius == pytest.approx(0.56)
    assert found.sigma_max_condition.value == pytest.approx(0.8 + 0.24)


def test_conditions_use_the_weights_as_rescaled() -> None:
    found = of(np.diag([4.0, 1.0]), cell="echo_state", spectral_radius=0.5)
    assert found.effective_spectral_radius == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("activation", "more"), [("sigmoid", {}), ("relu", {}), ("selu", {}), ("tanh", {"bias": np.array(0.5)})]
)
def test_the_radius_says_nothing_where_zero_is_no_fixed_point_of_slope_one(
    activation: str, more: dict[str, Any]
) -> None:
    for weights in (0.5 * np.eye(2), 2.0 * np.eye(2)):
        found = of(weights, activation=activation, **more).spectral_radius_condition
        assert found.proves.startswith("Nothing")


@pytest.mark.parametrize(("factor", "holds"), [(0.5, True), (1.5, False)])
def test_a_linear_reservoir_is_settled_by_its_radius(factor: float, holds: bool) -> None:
    found = of(factor * np.eye(2), activation="identity").spectral_radius_condition
    assert found.holds == holds
    assert found.proves.startswith("The echo state property" if holds else "No echo state property")


def test_an_unstable_zero_rules_out_echoes_without_input_only() -> None:
    found = of(1.5 * np.eye(2))
    assert "Without input" in found.spectral_radius_condition.proves
    assert "under this input" in found.spectral_radius_condition.does_not_prove


def test_a_strong_input_makes_an_unstable_reservoir_forget() -> None:
    """Radius 1.5, and yet a saturating input drives the exponent below zero; a linear one has ln of its radius."""
    weak, strong = (of(1.5 * np.eye(2), inputs=GaussianInputs(s, 4, 1, 1)) for s in (1e-3, 20.0))
    assert strong.conditional_lyapunov_exponent is not None
    assert weak.conditional_lyapunov_exponent is not None
    assert strong.conditional_lyapunov_exponent < weak.conditional_lyapunov_exponent
    assert strong.conditional_lyapunov_exponent < 0.0
    linear = of(0.5 * np.eye(2), activation="identity")
    assert linear.conditional_lyapunov_exponent == pytest.approx(np.log(0.5))


def test_dead_reservoirs_have_no_exponent_and_no_memory() -> None:
    found = of(np.eye(2), activation="relu", bias=np.array(-1e6))
    assert found.conditional_lyapunov_exponent is None
    assert found.conditional_lyapunov_exponent_reason is not None
    assert found.memory_capacity == 0.0


def test_capacity_is_that_of_a_delay_line_through_the_networks_own_input_weights() -> None:
    line = {"input_weights": np.eye(5)[:, :1]}
    found = of(np.eye(5, k=-1), activation="identity", **line)
    assert found.memory_capacity == pytest.approx(5.0, abs=1e-6)
    assert found.memory_capacity_bound == 5
    assert found.capacity_by_delay is not None
    assert found.capacity_by_delay.delay[:3].tolist() == [0, 1, 2]


def test_several_inputs_are_driven_along_one_direction() -> None:
    """Two delay lines of three units: one signal fills both, so that they hold the same three inputs."""
    weights = np.kron(np.eye(2), np.eye(3, k=-1))
    columns = np.zeros((6, 2))
    columns[0, 0] = columns[3, 1] = 1.0
    found = of(weights, width=2, activation="identity", input_weights=columns)
    assert found.memory_capacity == pytest.approx(3.0, abs=0.05)


def test_the_signal_has_the_spread_of_the_inputs() -> None:
    values = np.random.default_rng(0).standard_normal((2, 200, 1)) * 0.01
    found = of(0.5 * np.eye(2), inputs=GivenInputs(values))
    assert found.input_std == pytest.approx(values.std())


def test_inputs_that_do_not_vary_have_no_past() -> None:
    found = of(0.5 * np.eye(2), inputs=ZeroInputs(1, 1))
    assert found.memory_capacity is None
    assert "do not vary" in (found.memory_capacity_reason or "")


def test_states_that_leave_float64_have_a_reason() -> None:
    found = of(3.0 * np.eye(1), activation="relu", depth=20)
    assert found.memory_capacity is None
    assert "float64" in (found.memory_capacity_reason or "")


@pytest.mark.parametrize(
    "name", ["rnn undriven", "skip tanh", "residual tanh", "linear driven", "feedforward tanh"]
)
def test_other_networks_have_no_echoes_to_report_on(name: str) -> None:
    assert DIAGNOSTICS["echo_state"].not_applicable(problem_of(CELLS[name])) is not None


@pytest.mark.parametrize("name", ["rnn tanh", "leaky tanh", "echo_state tanh"])
def test_driven_reservoirs_have(name: str) -> None:
    assert DIAGNOSTICS["echo_state"].not_applicable(problem_of(CELLS[name])) is None


@pytest.mark.parametrize("diagnostic", ["parameter_gradient", "clipping"])
def test_an_echo_state_network_has_gradients_of_a_readout_only(diagnostic: str) -> None:
    clipping = ClippingPolicy("norm", 1.0)
    row, case = DIAGNOSTICS[diagnostic], CELLS["echo_state tanh"]
    reason = row.not_applicable(problem_of(case, clipping=clipping))
    assert reason is not None
    assert "readout_weight" in reason
    with_readout = problem_of(case, LOSSES["cross_entropy"], clipping=clipping)
    assert row.not_applicable(with_readout) is None
    assert set(runs.start(with_readout).parameter_gradients()) == {"readout_weight", "readout_bias"}
    row.compute(runs.start(with_readout))
