"""POST /v1/diagnoses: a request as a problem of the worker, and its result as the report of the contract."""

from __future__ import annotations

from dataclasses import dataclass

from gradhorizon.schemas import Diagnosis, DiagnosisRequest
from gradhorizon_service.worker.entry import DiagnosisResult
from gradhorizon_service.worker.problem import Problem

from ..canonical import arrays_sha256, request_id
from ..checking import check_cost, check_sizes, without_dear
from ..cost import Costs
from ..filling import fill
from ..limits import Limits
from ..problems import problem_of
from ._task import provenance


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
