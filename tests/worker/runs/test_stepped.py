"""The general run: every gradient against finite differences of its own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cases import BATCH, CELLS, LOSSES, Array, CellCase, LossCase, pairs, problem_of
from cases import problem as plain_problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.runs.stepped import SteppedRun
from gradhorizon_service.worker.trajectory import run_forward
from reference import loss_value, numerical_gradient


def stepped(problem: Problem) -> SteppedRun:
    return runs.step_by_step(problem, problem.network.build())


def total_loss(problem: Problem, case: CellCase, **changed: Any) -> float:
    """The whole loss, with some parameters replaced."""
    cell = case.network(**changed).build()
    inputs = None if problem.inputs is None else problem.inputs.build(problem.depth)
    start = np.zeros((problem.batch, case.size))
    if problem.initial_state is not None:
        start = problem.initial_state.build(problem.batch, case.size, None)
    states = run_forward(cell, start, inputs, problem.depth).states
    steps = range(1, problem.depth + 1) if problem.every_step else [problem.depth]
    return sum(loss_value(problem.loss, states[step][:, : case.outputs], step) for step in steps)


def numerical_parameter_gradients(problem: Problem, case: CellCase) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, value in case.parameters.items() if case.is_trained else ():
        if isinstance(value, list):
            for layer, matrix in enumerate(value):
                found[f"{name}[{layer}]"] = numerical_gradient(
                    lambda m, name=name, layer=layer, value=value: total_loss(
                        problem, case, **{name: [*value[:layer], m, *value[layer + 1 :]]}
                    ),
                    matrix,
                )
        elif isinstance(value, dict):
            found |= mode_gradients(problem, case, name, value)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "c":
            found[name] = complex_gradient(lambda v, name=name: total_loss(problem, case, **{name: v}), value)
        elif isinstance(value, BlockDiagonal):
            found[name] = block_gradient(problem, case, value)
        elif isinstance(value, np.ndarray) and name != "values":
            filled = np.broadcast_to(value, (case.size,)) if value.ndim == 0 else value
            found[name] = numerical_gradient(
                lambda v, name=name: total_loss(problem, case, **{name: v}), filled
            )
    return found


def mode_gradients(problem: Problem, case: CellCase, form: str, given: dict[str, Any]) -> dict[str, Array]:
    """Slopes by every parameter of the eigenvalues."""
    found = {}
    for name, value in given.items():
        if isinstance(value, str):
            continue
        slope = complex_gradient if value.dtype.kind == "c" else numerical_gradient
        found[name] = np.atleast_1d(
            slope(lambda v, name=name: total_loss(problem, case, **{form: {**given, name: v}}), value)
        )
    return found


def complex_gradient(loss: Callable[[Array], float], values: Array) -> Array:
    """Slopes by the real and the imaginary parts; a real mode has no imaginary one."""
    real = numerical_gradient(lambda a: loss(a + 1j * values.imag), values.real)
    is_pair = values.imag != 0.0
    turned = numerical_gradient(lambda b: loss(values.real + 1j * np.where(is_pair, b, 0.0)), values.imag)
    return np.stack([real, turned], axis=1)


def block_gradient(problem: Problem, case: CellCase, blocks: BlockDiagonal) -> Array:
    """Slopes by a and b of every block; a real one has no b."""

    return complex_gradient(
        lambda values: total_loss(problem, case, weights=BlockDiagonal(values)), blocks.multipliers
    )


CHOSEN = {
    name: pair
    for name, pair in pairs().items()
    if name.startswith("rnn tanh /") or name.endswith(("/ cotangent", "/ cross_entropy at every step"))
}


@pytest.mark.parametrize(("case", "loss"), CHOSEN.values(), ids=CHOSEN)
def test_parameter_gradients_are_the_slopes_of_the_loss(case: CellCase, loss: LossCase) -> None:
    problem = problem_of(case, loss)
    found = stepped(problem).parameter_gradients()
    expected = numerical_parameter_gradients(problem, case)
    readout = {
        name for name in ("readout_weight", "readout_bias") if getattr(problem.loss, name, None) is not None
    }
    assert set(found) == set(expected) | readout
    for name, gradient in expected.items():
        assert found[name].values() == pytest.approx(gradient, rel=1e-6, abs=1e-7), name


@pytest.mark.parametrize(("case", "loss"), CHOSEN.values(), ids=CHOSEN)
def test_the_gradient_at_the_last_lag_is_the_slope_by_the_initial_state(
    case: CellCase, loss: LossCase
) -> None:
    start = np.random.default_rng(8).standard_normal((BATCH, case.size))
    problem = replace(problem_of(case, loss), initial_state=GivenState(start))

    def moved(state: Array) -> float:
        return total_loss(replace(problem, initial_state=GivenState(state)), case)

    expected = np.linalg.norm(numerical_gradient(moved, start), axis=1)
    found = stepped(problem).gradient_log_norms(np.array([case.depth]))[0]
    assert np.exp(found) == pytest.approx(expected, rel=1e-6, abs=1e-8)


SHARED = {
    name: case
    for name, case in CELLS.items()
    if case.is_trained and case.cell not in ("feedforward", "jacobians")
}


@pytest.mark.parametrize("name", SHARED)
def test_shares_are_of_the_parts_that_sum_to_the_gradient(name: str) -> None:
    """G_k is what changes when the recurrent matrix changes at step T - k alone: one loss per lag, truncated to it.

    Of a diagonal recurrence it is the gradient of the eigenvalues, whatever they are made of: plain stepping has it.
    """
    problem = problem_of(SHARED[name])
    run = stepped(problem)
    shares = run.shares(np.arange(problem.depth))
    assert shares is not None
    changing = "decays" in SHARED[name].parameters
    windows = [
        stepped(cut).parameter_gradients()["decays"]
        if changing
        else SteppedRun(cut, cut.network.build()).parameter_gradients()["weights"]
        for cut in (problem_of(SHARED[name], truncate=k) for k in range(problem.depth))
    ]
    sums = [np.zeros_like(windows[0].array), *(window.values() for window in windows)]
    parts = [np.linalg.norm(after - before) for before, after in pairwise(sums)]  # type: ignore[operator]
    assert np.exp(shares.log_norm) == pytest.approx(parts, rel=1e-9)
    assert shares.log_sum == pytest.approx(np.log(np.sum(parts)))
    held = np.cumsum(parts) / np.sum(parts)
    assert shares.cumulative_95 == 1 + int(np.argmax(held >= 0.95))


def test_layers_have_no_shares_by_lag() -> None:
    assert stepped(problem_of(CELLS["feedforward tanh"])).shares(np.arange(3)) is None


def test_a_truncated_loss_leaves_the_transport_alone() -> None:
    free, cut = (stepped(problem_of(CELLS["rnn tanh"], truncate=k)) for k in (None, 2))
    lags = np.arange(7)
    assert np.array_equal(free.transported_log_norms(lags), cut.transported_log_norms(lags))
    assert np.isneginf(cut.gradient_log_norms(lags)[3:]).all()


def test_only_the_last_loss_is_transported() -> None:
    every, last = (
        stepped(problem_of(CELLS["rnn tanh"], LOSSES[name]))
        for name in ("cotangent at every step", "cotangent")
    )
    lags = np.arange(7)
    assert np.array_equal(every.transported_log_norms(lags), last.transported_log_norms(lags))
    assert not np.allclose(every.gradient_log_norms(lags)[1:], last.gradient_log_norms(lags)[1:])


def test_the_gradient_of_a_loss_at_every_step_is_the_sum_over_steps() -> None:
    case = CELLS["rnn tanh"]
    whole = stepped(problem_of(case, LOSSES["cotangent at every step"])).parameter_gradients()
    summed = {name: np.zeros_like(gradient.array) for name, gradient in whole.items()}
    for depth in range(1, case.depth + 1):
        for name, gradient in stepped(problem_of(case, depth=depth)).parameter_gradients().items():
            summed[name] = summed[name] + gradient.values()
    for name, gradient in whole.items():
        assert gradient.values() == pytest.approx(summed[name], rel=1e-12)


def test_burn_in_is_a_later_initial_state() -> None:
    """The last 6 of 10 steps have the gradients of 6 steps from the state after 4, driven by the later inputs."""
    case = CELLS["rnn tanh"]
    values = np.random.default_rng(0).standard_normal((BATCH, 10, 2))
    early = stepped(problem_of(case, depth=4, inputs=GivenInputs(values[:, :4])))
    late = problem_of(
        case, inputs=GivenInputs(values[:, 4:]), initial_state=GivenState(early.trajectory.states[-1])
    )
    burnt = problem_of(case, inputs=GivenInputs(values), burn_in=4)
    for name, gradient in stepped(late).parameter_gradients().items():
        assert stepped(burnt).parameter_gradients()[name].values() == pytest.approx(
            gradient.values(), rel=1e-12
        )


@pytest.mark.parametrize("threshold", [1e-3, 0.2, 1e6])
@pytest.mark.parametrize("loss", ["cotangent", "cross_entropy at every step"])
def test_per_step_clipping_is_a_plain_loop(loss: str, threshold: float) -> None:
    case = CELLS["rnn tanh"]
    run = stepped(problem_of(case, LOSSES[loss], clipping=ClippingPolicy("per_step", threshold)))
    found = run.parameter_gradients(clipped=True)
    W, states = case.parameters["weights"], np.asarray(run.trajectory.states)
    assert run.inputs is not None
    slopes = 1.0 - states[1:] ** 2
    gradient, g = np.zeros_like(W), np.zeros((BATCH, case.size))
    for step in range(case.depth, 0, -1):
        term = run._state_gradient(step, last_only=False)
        g = np.clip(g if term is None else g + term, -threshold, threshold)
        delta = g * slopes[step - 1]
        gradient += delta.T @ states[step - 1]
        g = delta @ W
    assert found["weights"].values() == pytest.approx(gradient, rel=1e-11)


def test_clipping_by_norm_or_value_leaves_the_way_back_alone() -> None:
    run = stepped(problem_of(CELLS["rnn tanh"], clipping=ClippingPolicy("value", 1e-3)))
    assert run.clipped_gradients is run.gradients


def scalar(weight: float, activation: str, depth: int, start: float) -> SteppedRun:
    """One unit, its own recurrent weight, a cotangent of one."""
    network = CellCase("rnn", {"weights": np.array([[weight]]), "activation": activation}).network()
    return stepped(plain_problem(network, depth, initial_state=GivenState(np.array([start]))))


def test_relu_states_beyond_the_square_root_of_float64_have_finite_gradients() -> None:
    """States reach 1e299 without diverging; their squares would not be numbers."""
    run = scalar(10.0, "relu", 300, start=1.0)
    shares = run.shares(np.arange(300))
    assert shares is not None
    assert shares.log_norm == pytest.approx(np.full(300, 299 * np.log(10.0)), rel=1e-12)
    expected = 299 * np.log(10.0) + np.log(300.0)
    assert run.parameter_gradients()["weights"].log_norm == pytest.approx(expected, rel=1e-12)


def test_tanh_states_that_fade_still_have_shares() -> None:
    """h_t = 1e-9 0.1^t to 18 digits: every lag contributes 1e-209 alike."""
    shares = scalar(0.1, "tanh", 201, start=1e-9).shares(np.arange(201))
    assert shares is not None
    assert shares.log_norm == pytest.approx(np.full(201, -209 * np.log(10.0)), rel=1e-12)


def partial_transports(run: SteppedRun) -> list[Array]:
    """J_T .. J_{T-k+1} for k = 0 .. T, each (B, N_T, N_{T-k}), from the gradients of unit cotangents."""
    batch, size = run.cotangent.shape
    frames = np.tile(np.eye(size)[:, None], (1, batch, 1))
    products = [frames.swapaxes(0, 1)]
    for step in range(run.depth - 1, -1, -1):
        frames = np.stack([run._linearisation.vjp(step, g)[0] for g in frames])
        products.append(frames.swapaxes(0, 1))
    return products


TRANSPORTED = (
    "leaky tanh",
    "leaky identity",
    "residual relu",
    "skip tanh",
    "skip tanh outside",
    "skip identity",
    "echo_state tanh",
    "feedforward residual",
    "feedforward tanh",
    "rnn tanh",
    "jacobians",
    "linear diagonal driven",
)


@pytest.mark.parametrize("name", TRANSPORTED)
def test_singular_values_are_those_of_the_product_of_jacobians(name: str) -> None:
    run = runs.start(problem_of(CELLS[name]))
    assert isinstance(run, SteppedRun)
    found = np.exp(run.singular_values().log_values)
    expected = np.linalg.svd(partial_transports(run)[-1], compute_uv=False)
    assert found == pytest.approx(expected[: len(found), : found.shape[1]], rel=1e-9)
    assert not (expected[:, found.shape[1] :] > 1e-12).any()


@pytest.mark.parametrize("name", TRANSPORTED)
def test_singular_values_seen_on_the_way_are_as_many_as_the_accurate_ones(name: str) -> None:
    """Else the median direction of a verdict would depend on which of the two was at hand."""
    run = runs.start(problem_of(CELLS[name]))
    accurate = run.singular_values().log_values
    assert run.transport_peak.log_singular_values == pytest.approx(accurate, rel=1e-6)


@pytest.mark.parametrize("name", TRANSPORTED)
def test_the_peak_of_the_transport_is_the_largest_partial_product(name: str) -> None:
    run = runs.start(problem_of(CELLS[name]))
    assert isinstance(run, SteppedRun)
    norms = np.array([np.linalg.norm(product, 2, axis=(1, 2)) for product in partial_transports(run)])
    peak = run.transport_peak
    shown = slice(0, len(peak.log_peak))
    assert np.exp(peak.log_peak) == pytest.approx(norms.max(axis=0)[shown], rel=1e-9)
    assert peak.peak_lag.tolist() == norms.argmax(axis=0)[shown].tolist()


def test_one_sequence_of_inputs_serves_a_batch() -> None:
    case = CELLS["rnn tanh"]
    values = np.random.default_rng(0).standard_normal((1, case.depth, 2))
    one, many = (
        problem_of(case, inputs=GivenInputs(np.repeat(values, count, axis=0))) for count in (1, BATCH)
    )
    lags = np.arange(7)
    assert stepped(one).gradient_log_norms(lags) == pytest.approx(
        stepped(many).gradient_log_norms(lags), rel=1e-13
    )


def test_a_run_that_diverges_reports_the_steps_before() -> None:
    run = scalar(10.0, "relu", 400, start=1.0)
    assert (run.depth, run.outcome.kind, run.outcome.steps_completed) == (308, "diverged", 308)
    assert "step 309 of 400" in (run.outcome.advice or "")
    norms = run.gradient_log_norms(np.array([0, 308]))[:, 0]
    assert norms[1] - norms[0] == pytest.approx(308 * np.log(10.0), rel=1e-12)
