"""POST /v1/clippings: gradients or a history of norms."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Clippings, ClippingsRequest
from gradhorizon_service.analysis.tasks import prepare_clippings
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["clippings"])


@router.post(
    "/v1/clippings",
    response_model=Clippings,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(ClippingsRequest, examples.CLIPPINGS, examples.TENSOR_CLIPPINGS),
)
async def clip(request: Request, service: ServiceDep) -> Response:
    """What clipping makes of given gradients exactly as each framework does it, and which threshold to use."""
    return await answer(request, service, ClippingsRequest, prepare_clippings)
