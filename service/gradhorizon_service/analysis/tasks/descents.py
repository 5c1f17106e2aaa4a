"""POST /v1/descents: a task, a network and an optimizer as one batched computation of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from gradhorizon.schemas import Descent, DescentRequest
from gradhorizon.schemas.descents import DRAWN, TrainedRnn
from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.descents.cells import CELLS, BatchedCell
from gradhorizon_service.worker.descents.network import Network
from gradhorizon_service.worker.descents.problem import DescentProblem
from gradhorizon_service.worker.descents.starts import FromSources, Given, Initialised, Start
from gradhorizon_service.worker.descents.summary import DescentResult
from gradhorizon_service.worker.descents.tasks import Adding, DelayedRecall, Fit, Latch, Task
from gradhorizon_service.worker.drives import EigenvectorState, GaussianState, GivenState, InitialState
from gradhorizon_service.worker.seeds import derive_seed

from ..canonical import arrays_sha256, request_id
from ..checking import within, within_cost
from ..cost import Costs
from ..errors import CostOverLimit, Fault, InvalidRequest, InvalidShape
from ..limits import Limits
from ..policies import worker_policy
from ..sources import seeded, shape_of, worker_source
from ._task import provenance

DEFAULT_SEEDS = 20
DEFAULT_BATCH = 16
DEFAULT_TEST = 256
DEFAULT_CURVATURE = 16
_SAMPLED = "parameters and sequences are drawn for every seed, and are the same for every policy of a seed"
_UNSEEN = "solved is judged on unseen sequences, with the parameters after the last step"
_ALGORITHMS = {
    "gradient": "back-propagation through time, in the dtype of the descent",
    "curvature": "exact second derivatives by dual numbers, in float64",
}


@dataclass(frozen=True, eq=False)
class DescentTask:
    """POST /v1/descents."""

    id: str
    estimated_seconds: float
    problem: DescentProblem
    request: DescentRequest
    inputs_sha256: str
    assumptions: list[str]

    function = "descend"

    def report(self, result: DescentResult, seconds: float) -> Descent:
        """The courses of the policies and the runs; parameters as the network of a diagnosis."""
        problem, task = self.problem, self.problem.task
        return Descent.model_validate(
            {
                "id": self.id,
                "task": self.request.task.kind,
                "cell": _network_fields(self.request)["cell"],
                "dtype": problem.dtype,
                "steps": problem.steps,
                "seeds": list(problem.seeds),
                "score": {"says": task.score, "threshold": task.threshold},
                "policies": result.policies,
                "runs": result.runs,
                "courses": result.courses,
                "initial_parameters": self._initial(result),
                "parameters": self._final(result),
                "data": self._data(result),
                "assumptions": self.assumptions,
                "warnings": result.warnings,
                "provenance": provenance(self.request.seed, seconds, _ALGORITHMS, self.inputs_sha256),
            }
        )

    def _initial(self, result: DescentResult) -> list[dict[str, Any]] | None:
        if result.initial is None:
            return None
        pairs = zip(self.problem.seeds, result.initial, strict=True)
        return [self._parameters(None, seed, found) for seed, found in pairs]

    def _final(self, result: DescentResult) -> list[dict[str, Any]] | None:
        if result.final is None:
            return None
        return [
            self._parameters(run.policy, run.seed, found)
            for run, found in zip(result.runs, result.final, strict=True)
        ]

    def _parameters(self, policy: str | None, seed: int, found: Mapping[str, Any] | None) -> dict[str, Any]:
        given = found or {}
        network = {name: values.tolist() for name, values in given.items() if not name.startswith("readout")}
        return {
            "policy": policy,
            "seed": seed,
            "network": {**_network_fields(self.request), **network} if found is not None else None,
            "network_reason": None if found is not None else f"a parameter left {self.problem.dtype}",
            "readout_weight": given.get("readout_weight"),
            "readout_bias": given.get("readout_bias"),
        }

    def _data(self, result: DescentResult) -> list[dict[str, Any]] | None:
        if result.test_targets is None:
            return None
        inputs = result.test_inputs
        return [
            {
                "seed": seed,
                "inputs": None if inputs is None else inputs[place],
                "targets": result.test_targets[place],
            }
            for place, seed in enumerate(self.problem.seeds)
        ]


def prepare_descent(request: DescentRequest, limits: Limits, costs: Costs) -> DescentTask:
    """Fill, check and estimate a descent. Raises RequestRefused."""
    within("$.max_points", "max_points", request.max_points, limits)
    filled = _filled(request)
    within("$.task.length", "max_depth", filled.task.length, limits)
    within("$.batch_size", "max_batch", filled.batch_size or 1, limits)
    within("$.test_size", "max_batch", filled.test_size or 1, limits)
    if filled.cell is not None:
        within("$.cell.hidden_size", "max_size", filled.cell.hidden_size, limits)
    problem = _problem(filled, limits)
    seconds = _within_limits(problem, limits, costs)
    assumptions = [_SAMPLED, _UNSEEN] if filled.task.kind in DRAWN else []
    return DescentTask(request_id(filled), seconds, problem, filled, arrays_sha256(filled), assumptions)


def _filled(request: DescentRequest) -> DescentRequest:
    """The request with its defaults and seeds in place."""
    drawn, task = request.task.kind in DRAWN, request.task
    random = task.kind == "recurrence" and _is_random(task)
    count = request.seeds if request.seeds is not None else DEFAULT_SEEDS if drawn or random else 1
    seeds = (
        [derive_seed(request.seed, f"run[{i}]") for i in range(count)] if isinstance(count, int) else count
    )
    every = request.curvature_points
    if every is None:
        every = DEFAULT_CURVATURE if drawn else request.max_points
    filled = {"seeds": seeds, "curvature_points": min(every, request.steps)}
    if drawn:
        filled["cell"] = request.cell or TrainedRnn(kind="rnn")
        filled["batch_size"] = request.batch_size or DEFAULT_BATCH
        filled["test_size"] = request.test_size or DEFAULT_TEST
        filled["data"] = request.data or "fresh"
    return request.model_copy(update=filled)


def _is_random(task: Any) -> bool:
    """Whether two seeds of a recurrence would differ."""
    state = task.initial_state
    drawn_state = state is None or (state.kind == "gaussian" and state.seed is None)
    return drawn_state or task.target is None or getattr(task.weights, "seed", 0) is None


def _problem(request: DescentRequest, limits: Limits) -> DescentProblem:
    task, network, start = BUILDERS[request.task.kind](request, limits)
    assert isinstance(request.seeds, list), "seeds are filled in"
    return DescentProblem(
        task=task,
        network=network,
        start=start,
        optimizer=request.optimizer.model_dump(),
        policies={name: worker_policy(policy) for name, policy in request.policies.items()},
        steps=request.steps,
        seeds=tuple(request.seeds),
        dtype=request.dtype,
        batch=request.batch_size or 1,
        test_batch=request.test_size or 1,
        fresh=request.data == "fresh",
        curvature_points=request.curvature_points or 0,
        max_points=request.max_points,
        include=frozenset(request.include),
    )


Built = tuple[Task, Network, Start]


def _cliff(request: DescentRequest, limits: Limits) -> Built:
    """In terms of h_t = sigma(x_t), which starts from sigma(x_0)."""
    asked: Any = request.task
    start = GivenState(ACTIVATIONS["sigmoid"]().value(np.array([asked.initial_state])))
    task = Fit(asked.length, 1, start, np.array([asked.target]), "squared_error")
    parameters = {"weights": np.array([[asked.weight]]), "bias": np.array([asked.bias])}
    return task, Network(CELLS["rnn"](activation="sigmoid"), 1, task.loss), Given(parameters)


def _recurrence(request: DescentRequest, limits: Limits) -> Built:
    asked: Any = request.task
    rows, columns = shape_of(asked.weights)
    if rows != columns:
        raise InvalidShape("$.task.weights", f"must be square; it is ({rows}, {columns})")
    within("$.task.weights", "max_size", rows, limits)
    target = asked.target
    if target is not None:
        if target.ndim and len(target) != rows:
            raise InvalidShape("$.task.target", f"must have {rows} entries, one a unit; it has {len(target)}")
        target = np.broadcast_to(target, (rows,))
    assert isinstance(request.seeds, list), "seeds are filled in"
    sources = [worker_source(seeded(asked.weights, seed, "task.weights")) for seed in request.seeds]
    task = Fit(asked.length, rows, _initial_state(asked.initial_state, rows), target)
    return task, Network(CELLS["rnn"](activation="identity"), rows, task.loss), FromSources(sources)


def _initial_state(state: Any, size: int) -> InitialState | float | None:
    path = "$.task.initial_state"
    if state is None:
        return None
    if state.kind == "zeros":
        raise InvalidRequest((Fault(path, "a linear recurrence stays at zero from there; start elsewhere"),))
    if state.kind == "eigenvector":
        if state.index >= size:
            raise InvalidRequest((Fault(f"{path}.index", f"must be below {size}, the size of the matrix"),))
        return EigenvectorState(state.index)
    if state.kind == "gaussian":
        if state.batch not in (None, 1):
            raise InvalidRequest((Fault(f"{path}.batch", "there is one state a run; leave it out"),))
        return float(state.std) if state.seed is None else GaussianState(state.std, state.seed)
    if state.values is None or state.values.ndim == 2:
        raise InvalidRequest((Fault(path, "give values, one a unit; there is one state a run, and no c"),))
    if state.values.ndim and len(state.values) != size:
        raise InvalidShape(
            f"{path}.values", f"must have {size} entries, one a unit; it has {len(state.values)}"
        )
    return GivenState(state.values)


def _drawn(request: DescentRequest, limits: Limits) -> Built:
    task = _TASKS[request.task.kind](**request.task.model_dump(exclude={"kind"}))
    asked = request.cell
    assert asked is not None, "the cell is filled in"
    cell: BatchedCell = CELLS[asked.kind](**_cell_options(asked))
    start = Initialised(
        cell,
        asked.hidden_size,
        task.inputs,
        task.outputs,
        asked.initialisation.family,
        asked.initialisation.gain,
        getattr(asked, "forget_bias", None),
        getattr(asked, "spectral_radius", None),
    )
    return task, Network(cell, asked.hidden_size, task.loss), start


_TASKS: Mapping[str, Callable[..., Task]] = {
    "latch": Latch,
    "delayed_recall": DelayedRecall,
    "adding": Adding,
}
BUILDERS: Mapping[str, Callable[[DescentRequest, Limits], Built]] = {
    "cliff": _cliff,
    "recurrence": _recurrence,
    **dict.fromkeys(_TASKS, _drawn),
}
"""Task in a request -> the worker's task, network and start."""

_OF_THE_START = {"kind", "hidden_size", "initialisation", "forget_bias", "spectral_radius"}


def _cell_options(cell: Any) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in type(cell).model_fields if name not in _OF_THE_START}


def _network_fields(request: DescentRequest) -> dict[str, Any]:
    """The cell and its options as a diagnosis takes them."""
    if request.task.kind == "cliff":
        return {"cell": "rnn", "activation": "sigmoid"}
    if request.cell is None:
        return {"cell": "linear"}
    options = {name: value for name, value in _cell_options(request.cell).items() if value is not None}
    return {"cell": request.cell.kind, **options}


_ADVICE = "take fewer steps, seeds or policies, a shorter task or a smaller network"


def _within_limits(problem: DescentProblem, limits: Limits, costs: Costs) -> float:
    """The estimated seconds. Raises CostOverLimit."""
    memory, seconds = _memory(problem), _seconds(problem, costs)
    if memory > limits.memory_bytes:
        raise CostOverLimit(memory, limits.memory_bytes, "bytes", "memory_bytes", _ADVICE)
    within_cost(seconds, limits, _ADVICE)
    return seconds


def _numbers_a_step(problem: DescentProblem, batch: int) -> float:
    cell, size = problem.network.cell, problem.network.hidden_size
    kept = cell.state_size(size) + cell.record_size(size) + cell.delta_size(size)
    return float(problem.runs * batch * (kept + problem.task.inputs))


def _parameters_a_run(problem: DescentProblem) -> float:
    network, task = problem.network, problem.task
    shapes = network.cell.shapes(network.hidden_size, task.inputs)
    return float(sum(map(prod, shapes.values())) + task.outputs * (network.hidden_size + 1))


def _memory(problem: DescentProblem) -> float:
    """Trajectories, twice over in complex numbers for the curvature; the record; some copies of the parameters."""
    batch = max(4 * problem.batch, problem.test_batch)
    trajectories = 8.0 * problem.task.length * _numbers_a_step(problem, batch) * 1.5
    record = 50.0 * problem.steps * problem.runs
    return trajectories + record + 8.0 * 20.0 * problem.runs * _parameters_a_run(problem)


def _seconds(problem: DescentProblem, costs: Costs) -> float:
    """Passes over the steps: what calls cost, and numbers; complex ones, for the curvature, cost more."""
    size, runs = problem.network.hidden_size, problem.runs
    weights = _parameters_a_run(problem)
    work = 800.0 if problem.dtype == "float32" else 1400.0
    calls = (40.0 + 0.3 * runs) * costs.per_call
    numbers = _numbers_a_step(problem, problem.batch) * work + 8.0 * runs * problem.batch * weights
    passes = (problem.steps + 1) * (1.5 if problem.fresh else 1.0)
    measured = problem.curvature_points
    steps = (passes + 2.0 * measured) * calls + (passes + 8.0 * measured) * numbers * costs.per_flop
    around = problem.steps * (
        (60.0 + 20.0 * len(problem.policies)) * costs.per_call + 400.0 * runs * weights * costs.per_flop
    )
    test = problem.task.length * _numbers_a_step(problem, problem.test_batch) * work * costs.per_flop
    start = runs * (40.0 * costs.per_call + 30.0 * float(size) ** 3 * costs.per_flop)
    return problem.task.length * steps + around + test + start
