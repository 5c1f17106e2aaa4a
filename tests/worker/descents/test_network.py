"""Losses, gradients and curvatures of many runs at once, held to the cells of a diagnosis and to differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from descent_networks import BATCH, CASES, CLASSES, RUNS, STEPS, Array, Case, data
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.descents.cells import CELLS
from gradhorizon_service.worker.descents.curvature import curvature_along
from gradhorizon_service.worker.descents.network import Data
from gradhorizon_service.worker.descents.parameters import Layout
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.losses import CrossEntropyLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem
from gradhorizon_service.worker.sources import MatrixSource

MATRICES = ("weights", "input_weights", "skip_weights")


def diagnosed(case: Case, parameters: dict[str, Array], seen: Data, run: int, cut: float | None) -> Any:
    """The same network, inputs and loss as a run of a diagnosis."""
    own = {name: values[run] for name, values in parameters.items()}
    readout = own.pop("readout_weight"), own.pop("readout_bias")
    spec = {name: MatrixSource(v) if name in MATRICES else v for name, v in own.items()}
    assert seen.inputs is not None
    problem = Problem(
        network=NetworkSpec(case.cell, {**spec, **case.options}),
        depth=STEPS,
        burn_in=0,
        inputs=GivenInputs(seen.inputs[:, run].swapaxes(0, 1)),
        initial_state=GivenState(np.zeros(())),
        batch=BATCH,
        loss=CrossEntropyLoss(*readout, seen.targets[run]),
        every_step=False,
        truncate=None,
        clipping=None if cut is None else ClippingPolicy("per_step", cut),
        dtype="float64",
        diagnostics=(),
        leading=None,
        include=frozenset(),
        horizon_level=0.001,
        tolerance_decades=3.0,
        max_points=10,
        lags=None,
        seed=0,
    )
    return runs.start(problem).parameter_gradients(clipped=cut is not None)


def test_every_cell_is_tested() -> None:
    assert {case.cell for case in CASES.values()} == set(CELLS)


PAIRS = {
    f"{name}, {'cut' if cut else 'whole'}": (case, cut)
    for name, case in CASES.items()
    for cut in (None, 0.01)
    if cut is None or case.cell != "echo_state"  # nothing goes back through a reservoir
}


@pytest.mark.parametrize(("case", "cut"), PAIRS.values(), ids=PAIRS)
def test_gradients_are_those_of_a_diagnosis(case: Case, cut: float | None) -> None:
    """Both with and without cutting the state gradient at every step; each run has weights of its own."""
    parameters, seen = case.parameters(), data()
    limit = None if cut is None else np.full(RUNS, cut)
    _, found, _ = case.network().gradients(parameters, seen, limit)
    for run in range(RUNS):
        expected = diagnosed(case, parameters, seen, run, cut)
        for name, gradient in expected.items():
            error = np.linalg.norm(found[name][run] - gradient.values())
            assert error <= 1e-12 * max(np.linalg.norm(gradient.values()), 1e-3), name
        for name in set(found) - set(expected):
            assert case.cell == "echo_state"
            assert not found[name].any()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "half_squared_error"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_gradient_is_what_the_loss_changes_by(case: Case, loss: str) -> None:
    network, outputs = case.network(loss), 0 if loss == "cross_entropy" else CLASSES
    parameters, seen = case.parameters(), data(outputs=outputs)
    losses, gradients, _ = network.gradients(parameters, seen)
    assert losses == pytest.approx(network.losses(parameters, seen), rel=1e-15)
    layout = Layout({name: values.shape[1:] for name, values in parameters.items()})
    theta, gradient = layout.flat(parameters), layout.flat(gradients)
    direction = gradient / np.linalg.norm(gradient)
    step = 1e-6 * direction
    ahead, behind = (network.losses(layout.views(theta + s * step), seen) for s in (1, -1))
    slopes = np.einsum("rn,rn->r", gradient, direction)
    assert (ahead - behind) / 2e-6 == pytest.approx(slopes, rel=1e-7)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_curvature_is_what_the_gradient_changes_by(case: Case, loss: str) -> None:
    network = case.network(loss)
    parameters, seen = case.parameters(), data(outputs=0 if loss == "cross_entropy" else CLASSES)
    layout = Layout({name: values.shape[1:] for name, values in parameters.items()})
    theta = layout.flat(parameters)
    direction = np.random.default_rng(3).standard_normal(theta.shape)
    if case.cell == "echo_state":  # only the readout is trained, and has gradients
        masks = layout.views(np.zeros_like(theta))
        direction = layout.flat({n: v + n.startswith("readout") for n, v in masks.items()}) * direction
    unit = direction / np.linalg.norm(direction, axis=1, keepdims=True)

    def slopes(distance: float) -> Array:
        _, found, _ = network.gradients(layout.views(theta + distance * unit), seen)
        return np.asarray(np.einsum("rn,rn->r", layout.flat(found), unit))

    expected = (slopes(1e-5) - slopes(-1e-5)) / 2e-5
    found = curvature_along(network, layout, theta, seen, direction)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_the_curvature_does_not_depend_on_the_length_of_the_step() -> None:
    network, parameters, seen = CASES["lstm"].network(), CASES["lstm"].parameters(), data()
    layout = Layout({name: values.shape[1:] for name, values in parameters.items()})
    theta = layout.flat(parameters)
    direction = np.ones_like(theta)
    found = [curvature_along(network, layout, theta, seen, s * direction) for s in (1e-200, 1.0, 1e200)]
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[2] == pytest.approx(found[1], rel=1e-12)


def test_a_step_that_is_zero_has_no_curvature() -> None:
    network, parameters, seen = CASES["rnn"].network(), CASES["rnn"].parameters(), data()
    layout = Layout({name: values.shape[1:] for name, values in parameters.items()})
    theta = layout.flat(parameters)
    direction = np.ones_like(theta)
    direction[1] = 0.0
    found = curvature_along(network, layout, theta, seen, direction)
    assert list(np.isnan(found)) == [False, True, False]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_float32_stays_float32(case: Case) -> None:
    parameters = {name: values.astype(np.float32) for name, values in case.parameters().items()}
    losses, gradients, _ = case.network().gradients(parameters, data().cast(np.float32))
    assert losses.dtype == np.float32
    assert {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}
    exact, _, _ = case.network().gradients(case.parameters(), data())
    assert losses == pytest.approx(exact, rel=1e-5)


def test_runs_do_not_see_each_other() -> None:
    parameters, seen = CASES["gru"].parameters(), data()
    together, _, _ = CASES["gru"].network().gradients(parameters, seen)
    parameters["weights"][1] = np.nan
    with np.errstate(invalid="ignore"):
        beside, gradients, _ = CASES["gru"].network().gradients(parameters, seen)
    assert np.isnan(beside[1])
    assert list(beside[[0, 2]]) == list(together[[0, 2]])
    assert np.isfinite(gradients["weights"][[0, 2]]).all()
