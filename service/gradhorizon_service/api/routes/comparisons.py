"""POST /v1/comparisons: networks or clipping policies side by side."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Comparison, ComparisonRequest
from gradhorizon_service.analysis.tasks import prepare_comparison
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["comparisons"])


@router.post(
    "/v1/comparisons",
    response_model=Comparison,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(ComparisonRequest, examples.COMPARISONS, examples.TENSOR_COMPARISON),
)
async def compare(request: Request, service: ServiceDep) -> Response:
    """The same inputs and depth for several networks or clipping policies: one table, ranked by horizon."""
    return await answer(request, service, ComparisonRequest, prepare_comparison)
