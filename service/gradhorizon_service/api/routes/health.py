"""/healthz, /readyz and the front door."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from gradhorizon_service.api.answering import JSON
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.errors import problem_response
from gradhorizon_service.api.openapi import problems

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=dict[str, str])
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Response:
    """Alive: the event loop answers."""
    return Response(b'{"status":"ok"}', media_type=JSON)


@router.get("/readyz", response_model=dict[str, str], responses=problems("not_ready"))
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request, service: ServiceDep) -> Response:
    """Ready: every worker process is warm and the server is not stopping."""
    if service.ready:
        return Response(b'{"status":"ready"}', media_type=JSON)
    detail = "the server is stopping" if service.draining else "the worker processes are starting"
    return problem_response(request, "not_ready", detail, headers={"retry-after": "1"})


@router.get("/", include_in_schema=False)
async def front_door() -> Response:
    """The API reference."""
    return RedirectResponse("docs")
