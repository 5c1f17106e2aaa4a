"""POST /v1/mean-fields: theory without a matrix."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import MeanField, MeanFieldRequest
from gradhorizon_service.analysis.tasks import prepare_mean_field
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["mean-fields"])


@router.post(
    "/v1/mean-fields",
    response_model=MeanField,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(MeanFieldRequest, examples.MEAN_FIELDS),
)
async def solve_mean_field(request: Request, service: ServiceDep) -> Response:
    """Where signals and gradients of infinitely wide random networks go, and which variances are critical."""
    return await answer(request, service, MeanFieldRequest, prepare_mean_field)
