"""/v1/checkpoints and /v1/checkpoint-comparisons: the layers of files that were uploaded."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import (
    CheckpointComparison,
    CheckpointComparisonRequest,
    CheckpointDiagnosis,
    CheckpointDiagnosisRequest,
)
from gradhorizon_service.api import examples
from gradhorizon_service.api.checkpoints import answer_checkpoint
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

from .artifacts import Sha256

router = APIRouter(tags=["checkpoints"])


@router.post(
    "/v1/checkpoints/{sha256}/diagnoses",
    response_model=CheckpointDiagnosis,
    responses=problems(*COMPUTING, "artifact_not_found"),
    openapi_extra=request_body(
        CheckpointDiagnosisRequest, examples.CHECKPOINT_DIAGNOSES, examples.TENSOR_CHECKPOINT_DIAGNOSIS
    ),
)
async def diagnose(request: Request, service: ServiceDep, sha256: Sha256) -> Response:
    """Every layer of a checkpoint: what it was recognised as, its diagnosis, and what its weights give away."""
    return await answer_checkpoint(request, service, "/v1/checkpoints/{sha256}/diagnoses", sha256)


@router.post(
    "/v1/checkpoint-comparisons",
    response_model=CheckpointComparison,
    responses=problems(*COMPUTING, "artifact_not_found"),
    openapi_extra=request_body(CheckpointComparisonRequest, examples.CHECKPOINT_COMPARISONS),
)
async def compare(request: Request, service: ServiceDep) -> Response:
    """Two checkpoints layer by layer: horizons, exponents and norms, and how far the leading directions turned."""
    return await answer_checkpoint(request, service, "/v1/checkpoint-comparisons")
