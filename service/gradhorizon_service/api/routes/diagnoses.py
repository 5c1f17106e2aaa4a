"""POST /v1/diagnoses: the main job."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Diagnosis, DiagnosisRequest
from gradhorizon_service.analysis.tasks import prepare_diagnosis
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["diagnoses"])


@router.post(
    "/v1/diagnoses",
    response_model=Diagnosis,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(DiagnosisRequest, examples.DIAGNOSES, examples.TENSOR_DIAGNOSIS),
)
async def diagnose(request: Request, service: ServiceDep) -> Response:
    """How far back the gradient reaches in a network, why it stops there, and what clipping does."""
    return await answer(request, service, DiagnosisRequest, prepare_diagnosis)
