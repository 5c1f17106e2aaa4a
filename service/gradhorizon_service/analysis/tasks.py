"""A checked request, ready to be computed here or in a worker process, and its result as a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any, Protocol

from gradhorizon.schemas import Diagnosis, DiagnosisRequest, Spectrum, SpectrumRequest
from gradhorizon.schemas._base import ReportModel
from gradhorizon_service.worker.entry import FUNCTIONS, DiagnosisResult, SpectrumResult
from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.problem import Problem, SpectrumProblem

from .canonical import arrays_sha256, request_id
from .checking import check_cost, check_sizes, depth_within, without_dear
from .cost import Costs
from .errors import CannotCompute, InvalidShape, LimitExceeded, RequestRefused
from .filling import fill
from .limits import Limits
from .problems import problem_of
from .sources import seeded, shape_of, worker_source

ENGINE_VERSION = version("gradhorizon")


class Task(Protocol):
    """One computation: which function of the worker, its argument, and how its result reads."""

    @property
    def id(self) -> str:
        """The contract's id of the request."""
        ...

    @property
    def estimated_seconds(self) -> float:
        """Computing time, good to a factor of a few."""
        ...

    @property
    def function(self) -> str:
        """Name in `worker.entry.FUNCTIONS`."""
        ...

    @property
    def problem(self) -> Any:
        """The function's argument: plain data, picklable."""
        ...

    def report(self, result: Any, seconds: float) -> ReportModel:
        """Turn the function's result into the report of the contract."""
        ...


@dataclass(frozen=True, eq=False)
class DiagnosisTask:
    """POST /v1/diagnoses."""

    id: str
    estimated_seconds: float
    problem: Problem
    seed: int
    inputs_sha256: str
    assumptions: list[str]

    function = "diagnose"

    def report(self, result: DiagnosisResult, seconds: float) -> Diagnosis:
        """The diagnosis; diagnostics that were not asked for stay unset, and are left out of the answer."""
        return Diagnosis.model_validate(
            {
                "id": self.id,
                "verdict": result.verdict,
                "horizon": result.horizon,
                "outcome": result.outcome,
                **result.diagnostics,
                "assumptions": self.assumptions,
                "warnings": result.warnings,
                "provenance": provenance(self.seed, seconds, result.algorithms, self.inputs_sha256),
            }
        )


@dataclass(frozen=True, eq=False)
class SpectrumTask:
    """POST /v1/spectra."""

    id: str
    estimated_seconds: float
    problem: SpectrumProblem
    seed: int
    inputs_sha256: str

    function = "spectrum"

    def report(self, result: SpectrumResult, seconds: float) -> Spectrum:
        """The spectrum of one matrix."""
        return Spectrum.model_validate(
            {
                "id": self.id,
                "shape": list(result.shape),
                "spectrum": result.spectrum,
                "nonnormality": result.nonnormality,
                "matrix": result.matrix,
                "assumptions": [],
                "warnings": result.warnings,
                "provenance": provenance(self.seed, seconds, result.algorithms, self.inputs_sha256),
            }
        )


def provenance(
    seed: int, seconds: float, algorithms: Mapping[str, str], inputs_sha256: str
) -> dict[str, Any]:
    """What computed a report, from what."""
    return {
        "engine_version": ENGINE_VERSION,
        "seed": seed,
        "seconds": seconds,
        "algorithms": dict(algorithms),
        "inputs_sha256": inputs_sha256,
    }


def prepare_diagnosis(request: DiagnosisRequest, limits: Limits, costs: Costs) -> DiagnosisTask:
    """Fill, check and estimate a diagnosis. Raises RequestRefused."""
    filled = fill(request)
    check_sizes(filled, limits)
    problem, left_out = without_dear(problem_of(filled), filled, limits)
    cost = check_cost(problem, filled, limits, costs)
    named = filled.request.model_copy(update={"diagnostics": list(problem.diagnostics)})
    return DiagnosisTask(
        request_id(named),
        cost.seconds,
        problem,
        request.seed,
        arrays_sha256(named),
        [*filled.assumptions, *left_out],
    )


def prepare_spectrum(request: SpectrumRequest, limits: Limits, costs: Costs) -> SpectrumTask:
    """Check and estimate a spectrum. Raises RequestRefused."""
    rows, columns = shape_of(request.source)
    if rows != columns:
        raise InvalidShape("$.source", f"must be square; it is ({rows}, {columns})")
    if rows > limits.max_size:
        raise LimitExceeded("$.source", "max_size", limits.max_size, rows)
    depth_within(request.depth, limits)
    filled = request.model_copy(update={"source": seeded(request.source, request.seed, "source")})
    problem = SpectrumProblem(worker_source(filled.source), request.depth, request.include_matrix)
    seconds = (600.0 * rows**3 + 1e5 * rows**2) * costs.per_flop + 10_000 * costs.per_call
    return SpectrumTask(request_id(filled), seconds, problem, request.seed, arrays_sha256(filled))


def run_inline(task: Task) -> ReportModel:
    """Compute a task in this process. Raises RequestRefused."""
    start = perf_counter()
    try:
        result = FUNCTIONS[task.function](task.problem)
    except CannotRun as error:
        raise translate(error) from error
    return task.report(result, perf_counter() - start)


def translate(error: CannotRun) -> RequestRefused:
    """A refusal of the worker as a refusal of the request."""
    return CannotCompute(f"$.{error.field}", error.message)
