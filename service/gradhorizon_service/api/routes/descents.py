"""POST /v1/descents: gradient descent on a small task."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Descent, DescentRequest
from gradhorizon_service.analysis.tasks import prepare_descent
from gradhorizon_service.api import examples
from gradhorizon_service.api.answering import answer
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems, request_body

router = APIRouter(tags=["descents"])


@router.post(
    "/v1/descents",
    response_model=Descent,
    responses=problems(*COMPUTING),
    openapi_extra=request_body(DescentRequest, examples.DESCENTS, examples.TENSOR_DESCENT),
)
async def descend(request: Request, service: ServiceDep) -> Response:
    """Gradient descent with several seeds and clipping policies side by side: where it overshoots, what it learns."""
    return await answer(request, service, DescentRequest, prepare_descent)
