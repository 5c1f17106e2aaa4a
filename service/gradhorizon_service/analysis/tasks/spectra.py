"""POST /v1/spectra: one matrix."""

from __future__ import annotations

from dataclasses import dataclass

from gradhorizon.schemas import Spectrum, SpectrumRequest
from gradhorizon_service.worker.entry import SpectrumResult
from gradhorizon_service.worker.problem import SpectrumProblem

from ..canonical import arrays_sha256, request_id
from ..checking import depth_within
from ..cost import Costs
from ..errors import InvalidShape, LimitExceeded
from ..limits import Limits
from ..sources import seeded, shape_of, worker_source
from ._task import provenance


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
