"""Layers as a framework runs them, beside the networks recognised in the file that the framework saved them in.

The file goes the way of a request: surveyed, prepared, run. States and gradients of every layer are held to the
framework's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gradhorizon.schemas import CheckpointDiagnosisRequest
from gradhorizon_service.analysis import tasks
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.tasks.layered import survey_request
from gradhorizon_service.checkpoints.surveying import Survey, survey
from gradhorizon_service.worker import layers as running
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.runs import Run

Array = np.ndarray[Any, np.dtype[np.float64]]

STEPS, BATCH, WIDTH, SIZE = 12, 2, 3, 5
MOST_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Theirs:
    """One layer as its framework runs it, steps in the order in which the layer sees them.

    `start` (B, S) is s_0, `states` (T, B, P) h after every step, `gradient` (B, S) that of L = sum(cotangent * h_T)
    with respect to s_0.
    """

    start: Array
    states: Array
    cotangent: Array
    gradient: Array


def entries(seed: int, *shape: int, scale: float = 1.0) -> Array:
    return scale * np.random.default_rng(seed).standard_normal(shape)


def surveyed(path: Path, **request: Any) -> tuple[CheckpointDiagnosisRequest, Survey]:
    """What is found in a file under a request."""
    asked = CheckpointDiagnosisRequest(**{"depth": STEPS, "diagnostics": ["gradient_norms"], **request})
    return asked, survey(str(path), survey_request(asked), MOST_BYTES, 10_000, MOST_BYTES)


def assert_same(
    path: Path,
    inputs: Array,
    theirs: Mapping[str, Theirs],
    gradients: Path | None = None,
    *,
    within: float = 1e-9,
    tied: bool = False,
    **request: Any,
) -> Survey:
    """Hold every layer of a file to its framework's states and gradients, relative to the largest entry.

    `inputs` are (T, B, D). `gradients` is the same file with each parameter replaced by the gradient of its layer's
    loss: what is recognised in it are the gradients in our stacking, since none of that depends on the numbers. `tied`
    says that the framework has one kernel for the first two of three gates.
    """
    given = {"kind": "values", "values": np.swapaxes(inputs, 0, 1)}
    request = {**request, "depth": len(inputs), "inputs": given}
    asked, found = surveyed(path, **request)
    names = {layer.name for layer in found.layers}
    assert names == set(theirs), (names, dict(found.skipped))
    rows = tasks.prepare_checkpoint(asked, [found], Limits(), Costs()).problem.rows
    outputs: dict[str, Any] = {}
    runs: dict[str, Run] = {}
    for name, row in rows.items():
        truth = theirs[name]
        start, loss = GivenState(truth.start), CotangentLoss(truth.cotangent)
        problem = replace(row.problem, initial_state=start, loss=loss)
        run = runs[name] = running._started(replace(row, problem=problem), outputs)
        outputs[name] = running._outputs(run, row.backward)
        size = truth.states.shape[-1]
        _assert_close(f"states of {name}", _states(run)[1:, :, :size], truth.states, within)
        _assert_close(f"gradient of {name}", _start_gradient(run), truth.gradient, within)
    if gradients is not None:
        networks, wanted = _networks(found), _networks(surveyed(gradients, **request)[1])
        for name, run in runs.items():
            _assert_same_gradients(name, run, networks[name], wanted[name], within, tied)
    return found


def _networks(found: Survey) -> dict[str, Mapping[str, Any]]:
    return {layer.name: layer.network for layer in found.layers if layer.network is not None}


def _states(run: Run) -> Array:
    return np.asarray(run.trajectory.states)  # type: ignore[attr-defined]


def _start_gradient(run: Run) -> Array:
    back = run.gradients  # type: ignore[attr-defined]
    return np.asarray(back.gradients[-1] * np.exp(back.log_scales[-1])[:, None])


def _assert_same_gradients(
    name: str,
    run: Run,
    network: Mapping[str, Any],
    expected: Mapping[str, Any],
    within: float,
    tied: bool,
) -> None:
    """Zeros that fill the place of a bias that the framework has not are no parameters of it."""
    ours = run.parameter_gradients()
    assert set(ours) == {field for field, value in network.items() if isinstance(value, np.ndarray)}
    for field, gradient in ours.items():
        values, wanted, there = gradient.values(), expected[field], network[field] != 0.0
        assert values is not None
        assert not wanted[~there].any()
        if tied:
            values = _shared(values)
        _assert_close(f"gradient of {field} of {name}", values[there], wanted[there], within)


def _shared(gradient: Array) -> Array:
    """The gradient of what two of three gates share is the sum of both, found at both places."""
    first, second, third = np.split(gradient, 3)
    return np.concatenate([first + second, first + second, third])


def _assert_close(what: str, ours: Array, wanted: Array, within: float) -> None:
    assert ours.shape == wanted.shape, what
    size = np.abs(wanted).max()
    assert size > 1e-12, f"{what}: nothing to compare"
    off = np.abs(ours - wanted).max() / size
    assert off <= within, f"{what}: {off:.1e} off"
