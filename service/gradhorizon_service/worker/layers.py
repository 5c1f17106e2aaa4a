"""The layers of one model, diagnosed one by one: each on the states of the layers below it where those feed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from . import runs
from ._types import Array
from .activity import Activity, activities, log10_mean_gradients
from .cells import CELLS
from .diagnosis import DiagnosisResult, arithmetic_told, report_of
from .drift import MatrixDrift, blocks_of, matrix_drift
from .drives import GivenInputs
from .errors import CannotRun
from .problem import Problem
from .runs import Run
from .trajectory import run_forward


@dataclass(frozen=True, eq=False)
class LayerProblem:
    """One layer: `below` feed it in place of the problem's own inputs; `backward` runs it from the last input on.

    Where it is not `wanted`, only its states are computed.
    """

    problem: Problem
    below: tuple[str, ...] = ()
    backward: bool = False
    wanted: bool = True


@dataclass(frozen=True, eq=False)
class LayersProblem:
    """Layers by name, each after those below it."""

    rows: Mapping[str, LayerProblem]


@dataclass(frozen=True, eq=False)
class LayerResult:
    """One layer; without a diagnosis the reason. `log10_mean_gradients` by parameter."""

    diagnosis: DiagnosisResult | None
    reason: str | None
    log10_mean_gradients: Mapping[str, float]
    activities: list[Activity]


@dataclass(frozen=True, eq=False)
class LayersComparisonProblem:
    """The same layers of two models, their cells, and the pairs of matrices to compare by layer and parameter."""

    before: LayersProblem
    after: LayersProblem
    pairs: Mapping[str, Mapping[str, tuple[Array, Array]]]
    cells: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class LayersComparison:
    """Results of both models, and how far every matrix moved."""

    before: Mapping[str, LayerResult]
    after: Mapping[str, LayerResult]
    drifts: Mapping[str, list[MatrixDrift]]


def diagnose_layers(layers: LayersProblem) -> dict[str, LayerResult]:
    """Run every layer; one that cannot be run says why, and so do those it would feed."""
    feeding = {name for row in layers.rows.values() for name in row.below}
    outputs: dict[str, Array | None] = {}
    results = {}
    for name, row in layers.rows.items():
        try:
            run = _started(row, outputs)
            if row.wanted:
                with arithmetic_told():
                    results[name] = LayerResult(
                        report_of(run), None, log10_mean_gradients(run), activities(run)
                    )
            if name in feeding:
                outputs[name] = _outputs(run, row.backward)
        except CannotRun as error:
            results[name] = LayerResult(None, f"{error.field}: {error.message}", {}, [])
    return results


def _started(row: LayerProblem, outputs: Mapping[str, Array | None]) -> Run:
    problem = row.problem
    inputs = None if problem.inputs is None else problem.inputs.build(problem.burn_in + problem.depth)
    if row.below:
        below = [outputs.get(name) for name in row.below]
        missing = [name for name, states in zip(row.below, below, strict=True) if states is None]
        if missing:
            raise CannotRun(
                "inputs", f"{missing[0]} feeds this layer, and its states left float64 or were not computed"
            )
        inputs = np.concatenate([states for states in below if states is not None], axis=-1)
    if inputs is not None and (row.below or row.backward):
        values = inputs[::-1] if row.backward else inputs
        problem = replace(problem, inputs=GivenInputs(np.swapaxes(values, 0, 1)))
    with arithmetic_told():
        return runs.start(problem)


def _outputs(run: Run, backward: bool) -> Array | None:
    """h at every step of the inputs, burn-in included, (T, B, P) in the order of the inputs; None where it diverged."""
    problem, cell = run.problem, run.cell
    steps = problem.burn_in + problem.depth
    inputs = None if problem.inputs is None else problem.inputs.build(steps)
    if inputs is not None and inputs.shape[1] != problem.batch:
        inputs = np.broadcast_to(inputs, (steps, problem.batch, inputs.shape[2]))
    found = run_forward(cell, run.initial_state, inputs, steps)
    if found.steps < steps:
        return None
    hidden = np.asarray(found.states)[1:, :, : cell.output_size]
    return hidden[::-1] if backward else hidden


def compare_layers(problem: LayersComparisonProblem) -> LayersComparison:
    """Run the layers of both models, and compare their matrices gate by gate."""
    drifts = {
        layer: [
            drift
            for parameter, (before, after) in pairs.items()
            for drift in _drifts(parameter, before, after, CELLS[problem.cells[layer]].blocks(parameter))
        ]
        for layer, pairs in problem.pairs.items()
    }
    return LayersComparison(diagnose_layers(problem.before), diagnose_layers(problem.after), drifts)


def _drifts(parameter: str, before: Array, after: Array, gates: tuple[str, ...]) -> Iterator[MatrixDrift]:
    second = blocks_of(after, gates)
    for gate, block in blocks_of(before, gates).items():
        yield matrix_drift(f"{parameter}.{gate}" if gate else parameter, block, second[gate])
