"""POST /v1/spectra: one matrix."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Spectrum, SpectrumRequest
from gradhorizon_service.analysis.tasks import prepare_spectrum
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["spectra"])


@router.post(
    "/v1/spectra",
    response_model=Spectrum,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(SpectrumRequest, examples.SPECTRA, {"source": {"tensor": "weights"}}),
)
async def analyse_spectrum(request: Request, service: ServiceDep) -> Response:
    """The eigenvalues and norms of a square matrix, and how far they are from telling the whole story."""
    return await answer(request, service, SpectrumRequest, prepare_spectrum)
