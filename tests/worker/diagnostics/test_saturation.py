"""Slopes along a run: saturated and dead units, gates, and how much of the decay the slopes make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest

from cases import ACTIVATIONS, CELLS, Array, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.activations import Activation, Identity, Sigmoid, Tanh
from gradhorizon_service.worker.cells import Nonlinearity
from gradhorizon_service.worker.diagnostics.saturation import (
    GateValues,
    Saturation,
    _gate_values,
    saturation,
    without_activation,
)
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.precision import PRECISIONS
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.runs.stepped import SteppedRun


def splits(case: CellCase) -> bool:
    cell = case.network().build()
    return cell.splits and not isinstance(cell.activation, Identity)


SPLITTING = [name for name, case in CELLS.items() if splits(case)]


def of(asked: Problem) -> Saturation:
    return saturation(runs.start(asked))


def held(
    activation: str, bias: Array, depth: int = 4, weights: Array | None = None, **changed: Any
) -> Problem:
    """Units held at a pre-activation: nothing is fed back unless there are weights."""
    size = len(bias)
    weights = np.zeros((size, size)) if weights is None else weights
    network = CellCase("rnn", {"weights": weights, "bias": bias, "activation": activation}).network()
    return problem(network, depth, **changed)


@pytest.mark.parametrize(("dtype", "share"), [("bfloat16", 1.0), ("float16", 1.0), ("float32", 0.0)])
def test_what_is_saturated_depends_on_the_dtype(dtype: str, share: float) -> None:
    """sech^2(5) = 1.8e-4 lies between 2^-11 and 2^-24."""
    found = of(held("tanh", np.array([5.0]), dtype=dtype))
    assert found.saturated_share == share
    assert found.units["h"].log10_slope == pytest.approx(-2.0 * np.log10(np.cosh(5.0)))
    assert found.units["h"].always_saturated == int(share)
    assert dtype in found.says


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "framework_slope"),
    [("tanh", lambda y: 1 - y * y), ("sigmoid", lambda y: y * (1 - y))],
)
def test_below_the_level_the_slope_a_framework_takes_from_the_output_is_zero(
    dtype: str, activation: str, framework_slope: Any
) -> None:
    """The output rounds to one there, and in float64 the sum 1 + e^-a a factor of four earlier."""
    level = of(held(activation, np.array([1.0]), dtype=dtype)).units["h"].level
    carrier = PRECISIONS[dtype].carrier
    a = np.linspace(0.0, 40.0, 4001)
    case = ACTIVATIONS[activation]
    built = CellCase("rnn", {"weights": np.zeros((1, 1)), "activation": case.name}).network().build()
    assert built.activation is not None
    slope, output = built.activation.slope(a), built.activation.value(a).astype(carrier)
    from_output = framework_slope(output)
    assert (from_output[slope < 0.99 * level] == 0).all()
    assert (from_output[slope > 4.01 * level] > 0).all()
    assert (slope < level).any()


def test_slopes_that_underflow_keep_their_logarithm() -> None:
    """sech^2(400) = 4 e^-800 is no float64."""
    found = of(held("tanh", np.array([400.0]))).units["h"]
    assert found.log10_slope == pytest.approx((np.log(4.0) - 800.0) / np.log(10.0))
    assert found.log10_mean_slope == pytest.approx(found.log10_slope)
    assert found.dead == 0


def test_shares_and_quantiles_count_every_step_sequence_and_unit() -> None:
    """Of ten units one has slope 1 and nine have slopes 10^-1 .. 10^-9; float16 keeps four of these."""
    slopes = 10.0 ** -np.arange(10.0)
    found = of(held("sigmoid", 2.0 * np.arccosh(slopes**-0.5), depth=7, dtype="float16", batch=3))
    units = found.units["h"]
    assert units.level == 2.0**-13
    assert found.saturated_share == units.saturated_share == pytest.approx(0.6)
    assert found.step.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.saturated_share_by_step == pytest.approx(np.full(7, 0.6))
    assert (units.units, units.mostly_saturated, units.always_saturated, units.dead) == (10, 6, 6, 0)
    quarter = np.log10(0.25)
    expected = [quarter - 8, quarter - 5, quarter - 1, quarter - 4.5]
    measured = [units.log10_slope_q10, units.log10_slope, units.log10_slope_q90, units.log10_mean_slope]
    assert measured[0] == pytest.approx(expected[0])
    assert measured[1] in (pytest.approx(quarter - 4), pytest.approx(quarter - 5))
    assert measured[2:] == pytest.approx(expected[2:])


def test_a_unit_saturated_in_some_steps_is_counted_by_how_many() -> None:
    """A permutation feeds one large number around four units: each is saturated in one step of four."""
    shift = np.roll(np.eye(4), 1, axis=0)
    state = GivenState(np.array([[1.0, 0.0, 0.0, 0.0]]))
    found = of(held("hard_tanh", np.zeros(4), depth=8, weights=shift, initial_state=state))
    assert found.saturated_share == 0.25
    assert found.units["h"].mostly_saturated == found.units["h"].dead == 0


def test_dead_relus_are_named() -> None:
    found = of(held("relu", np.array([1.0, -1.0, 2.0, 0.0])))
    units = found.units["h"]
    assert units.dead == units.always_saturated == 2
    assert units.dead_units is not None
    assert units.dead_units.tolist() == [1, 3]
    assert units.dead_layers is None
    assert units.log10_mean_slope == -np.inf
    assert "2 of 4 units are dead" in found.says


def test_a_relu_that_is_active_once_is_not_dead() -> None:
    state = GivenState(np.array([[1.0, 0.0]]))
    found = of(held("relu", np.array([-0.5, -0.5]), weights=np.eye(2), initial_state=state))
    assert found.units["h"].dead_units is not None
    assert found.units["h"].dead_units.tolist() == [1]


def test_many_dead_units_are_only_counted() -> None:
    units = of(held("relu", -np.ones(65))).units["h"]
    assert units.dead == 65
    assert units.dead_units is None
    assert "more than 64" in (units.dead_units_reason or "")


def test_units_of_layers_are_told_apart() -> None:
    layers = [np.ones((2, 1)), np.ones((3, 2))]
    biases = [np.array([1.0, -9.0]), np.array([-9.0, 1.0, -9.0])]
    case = CellCase("feedforward", {"layers": layers, "biases": biases, "activation": "relu"})
    found = of(problem(case.network(), 2, initial_state=GivenState(np.array([[1.0]]))))
    units = found.units["h"]
    assert units.dead_layers is not None
    assert units.dead_units is not None
    assert list(zip(units.dead_layers.tolist(), units.dead_units.tolist(), strict=True)) == [
        (1, 1),
        (2, 0),
        (2, 2),
    ]
    assert units.units == 5
    assert found.saturated_share_by_step == pytest.approx([1 / 2, 2 / 3])
    assert found.saturated_share == pytest.approx(3 / 5)


def test_a_scalar_step_is_its_weight_times_its_slope() -> None:
    """At the fixed point h = tanh(2 h + 1) every step multiplies by 2 sech^2(2 h + 1)."""
    h = 0.5
    for _ in range(200):
        h = np.tanh(2.0 * h + 1.0)
    state = GivenState(np.array([[h]]))
    asked = held("tanh", np.array([1.0]), depth=50, weights=np.array([[2.0]]), initial_state=state)
    decay = of(asked).decay
    assert decay.decades_per_step_from_weights == pytest.approx(np.log10(2.0), abs=1e-9)
    assert decay.decades_per_step_from_slopes == pytest.approx(np.log10(1.0 - h * h), abs=1e-9)


@pytest.mark.parametrize("name", SPLITTING)
def test_slopes_and_weights_add_up_to_the_transported_gradient(name: str) -> None:
    """An independent loop: g to D g, and on to W^T D g, with the norms in between."""
    run = runs.start(problem_of(CELLS[name]))
    found = saturation(run).decay
    preactivations = run.nonlinearities()["h"].preactivations
    activation = run.nonlinearities()["h"].activation
    steps, g = run.depth, run.cotangent
    slopes, weights = np.zeros(len(g)), np.zeros(len(g))
    with np.errstate(divide="ignore", invalid="ignore"):
        for t in reversed(range(steps)):
            W = CELLS[name].parameters["layers"][t] if run.matrix is None else run.matrix
            delta = activation.slope(np.asarray(preactivations[t])) * g
            before = delta @ W
            norms = [np.log10(np.linalg.norm(v, axis=1)) for v in (g, delta, before)]
            slopes, weights, g = slopes + norms[1] - norms[0], weights + norms[2] - norms[1], before
    alive = np.isfinite(slopes + weights)
    assert alive.any()
    assert found.decades_per_step_from_slopes == pytest.approx(slopes[alive].mean() / steps, abs=1e-9)
    assert found.decades_per_step_from_weights == pytest.approx(weights[alive].mean() / steps, abs=1e-9)
    assert found.decades_per_step == pytest.approx((slopes + weights)[alive].mean() / steps, abs=1e-9)


def test_orthogonal_weights_leave_all_of_the_decay_to_the_slopes() -> None:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    decay = of(held("tanh", np.full(5, 0.7), depth=300, weights=Q)).decay
    assert decay.decades_per_step_from_weights == pytest.approx(0.0, abs=1e-12)
    assert decay.decades_per_step_from_slopes == pytest.approx(decay.decades_per_step)


PASSING = [
    name for name, case in CELLS.items() if case.cell in ("leaky", "skip", "residual") and not splits(case)
]


@pytest.mark.parametrize("name", [*PASSING, "feedforward residual"])
def test_what_passes_the_activation_by_does_not_split(name: str) -> None:
    decay = of(problem_of(CELLS[name])).decay
    assert decay.decades_per_step is not None
    assert decay.decades_per_step_from_slopes is None
    assert "passes the activation by" in (decay.decades_per_step_from_slopes_reason or "")


def test_a_gradient_that_dies_has_no_decades() -> None:
    found = of(held("relu", -np.ones(2), weights=np.eye(2)))
    assert found.decay.decades_per_step is None
    assert found.decay.decades_per_step_reason == "the gradient is exactly zero at lag 4"


def test_sequences_whose_gradient_dies_are_left_out() -> None:
    loss = CotangentLoss(np.array([[1.0], [0.0]]))
    found = of(held("tanh", np.array([1.0]), weights=np.array([[0.5]]), batch=2, loss=loss))
    alone = of(held("tanh", np.array([1.0]), weights=np.array([[0.5]])))
    assert found.decay.decades_per_step == pytest.approx(alone.decay.decades_per_step)
    assert found.decay.decades_per_step_from_slopes == pytest.approx(alone.decay.decades_per_step_from_slopes)


def test_a_run_that_diverges_at_once_has_no_share() -> None:
    state = GivenState(np.array([[1e300]]))
    found = of(held("relu", np.zeros(1), weights=np.array([[1e200]]), initial_state=state))
    assert found.saturated_share is None
    assert found.saturated_share_reason == "no step was completed"
    assert found.decay.decades_per_step_reason == "no step was completed"
    assert len(found.saturated_share_by_step) == len(found.step) == 0


def test_reported_steps_mirror_the_lags() -> None:
    found = of(held("tanh", np.array([5.0]), depth=100, lags=np.array([0, 3, 100]), dtype="float16"))
    assert found.step.tolist() == [97, 100]
    assert found.saturated_share_by_step.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (linear(np.eye(2), 3), "the identity never saturates"),
        (problem_of(CELLS["rnn identity"]), "the identity never saturates"),
        (problem_of(CELLS["feedforward identity"]), "the identity never saturates"),
        (problem_of(CELLS["jacobians"]), "without pre-activations"),
    ],
)
def test_nothing_saturates_without_a_nonlinearity(asked: Problem, says: str) -> None:
    assert says in (without_activation(asked) or "")


def test_what_has_an_activation_can_saturate() -> None:
    assert without_activation(problem_of(CELLS["rnn tanh"])) is None


def gate(values: Array, keeps: Literal["value", "rest"] | None = "value") -> GateValues:
    """A sigmoid gate with these values, (T, B, H)."""
    return _gate_values(
        Nonlinearity(Sigmoid(), np.log(values) - np.log1p(-values), is_gate=True, keeps=keeps)
    )


def test_a_gate_is_described_by_its_values() -> None:
    found = gate(np.arange(0.05, 1.0, 0.1).reshape(5, 2, 1))
    assert (found.mean, found.q10, found.q90) == pytest.approx((0.5, 0.15, 0.85))
    assert (found.share_nearly_closed, found.share_nearly_open) == pytest.approx((0.1, 0.1))


def test_a_forget_gate_has_a_time_constant() -> None:
    """Units at 0.9, 0.99, 0.999: the middle one forgets in -1 / ln 0.99 = 99.4992 steps."""
    found = gate(np.full((4, 2, 3), [0.9, 0.99, 0.999]))
    assert found.time_constant == pytest.approx(99.4992, abs=1e-4)


def test_a_gate_may_keep_what_it_does_not_let_through() -> None:
    assert gate(np.full((4, 2, 3), 0.01), keeps="rest").time_constant == pytest.approx(99.4992, abs=1e-4)


def test_other_gates_have_no_time_constant() -> None:
    found = gate(np.full((4, 2, 3), 0.9), keeps=None)
    assert found.time_constant is None
    assert found.time_constant_reason is not None


@pytest.mark.parametrize(
    ("activation", "a", "says"), [(Sigmoid(), 1e3, "nothing decays"), (Tanh(), -1.0, "negative share")]
)
def test_a_gate_that_forgets_nothing_or_turns_signs_has_no_time_constant(
    activation: Activation, a: float, says: str
) -> None:
    found = _gate_values(Nonlinearity(activation, np.full((2, 1, 1), a), is_gate=True, keeps="value"))
    assert found.time_constant is None
    assert says in (found.time_constant_reason or "")


class GatedRun(SteppedRun):
    """A run whose nonlinearities are blocks of one array, as those of gated cells are."""

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        a = np.zeros((self.depth, self.problem.batch, 6))
        a[..., 4:] = 1e3
        return {
            "forget": Nonlinearity(Sigmoid(), a[..., :2], is_gate=True, keeps="value"),
            "new": Nonlinearity(Tanh(), a[..., 2:]),
        }


def test_nonlinearities_are_reported_by_name_and_counted_together() -> None:
    """Two gates half open, and four units of which two are far in saturation."""
    asked = problem_of(CELLS["rnn tanh"])
    found = saturation(GatedRun(asked, asked.network.build()))
    assert (found.units["forget"].saturated_share, found.units["new"].saturated_share) == (0.0, 0.5)
    assert found.saturated_share == pytest.approx(1 / 3)
    assert found.saturated_share_by_step == pytest.approx(np.full(6, 1 / 3))
    assert found.units["new"].always_saturated == 2
    assert found.gates is not None
    assert list(found.gates) == ["forget"]
    assert found.gates["forget"].mean == 0.5
    assert found.gates["forget"].time_constant == pytest.approx(-1.0 / np.log(0.5))
    assert found.units["forget"].log10_slope == pytest.approx(np.log10(0.25))
