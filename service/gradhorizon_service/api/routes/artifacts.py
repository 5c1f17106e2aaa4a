"""/v1/artifacts: files uploaded once, and referred to by their hash."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from gradhorizon.schemas import Artifact
from gradhorizon_service.api.answering import JSON, require_json_accepted
from gradhorizon_service.api.artifacts import receive_artifact
from gradhorizon_service.api.bodies import require_identity
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import UPLOADING, file_body, problems
from gradhorizon_service.api.refusals import UnsupportedMediaType
from gradhorizon_service.artifacts.labels import label

router = APIRouter(tags=["artifacts"])

Sha256 = Annotated[
    str,
    PathParameter(
        pattern="^[0-9a-f]{64}$", description="Of the whole file, in 64 lower-case hexadecimal digits."
    ),
]
Name = Annotated[str | None, Query(max_length=1000, description="What to call the file: a label only.")]

_NOT_A_FORM = (
    "send the bytes of the file as the body, with Content-Type: application/octet-stream and no form around them "
    "(curl --data-binary @FILE)"
)


@router.post(
    "/v1/artifacts",
    status_code=201,
    response_model=Artifact,
    responses={
        200: {"model": Artifact, "description": "The same content was here already"},
        **problems(*UPLOADING),
    },
    openapi_extra=file_body(),
)
async def upload(request: Request, service: ServiceDep, name: Name = None) -> Response:
    """Upload a checkpoint or tensors once; requests then refer to them as `{"artifact": sha256, "name": tensor}`."""
    require_json_accepted(request)
    require_identity(request)
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise UnsupportedMediaType(_NOT_A_FORM)
    received = await receive_artifact(request, service, label(name))
    location = {"location": f"/v1/artifacts/{received.sha256}"}
    return Response(received.description, 201 if received.new else 200, location, JSON)


@router.get(
    "/v1/artifacts/{sha256}",
    response_model=Artifact,
    responses=problems("not_acceptable", "artifact_not_found", "invalid_request", "internal_error"),
)
async def describe(request: Request, service: ServiceDep, sha256: Sha256) -> Response:
    """What is in an artifact: every tensor with its shape, its dtype, its hash, and whether it is finite."""
    require_json_accepted(request)
    return Response(await service.on_disk(service.artifacts.describe, sha256), media_type=JSON)


@router.delete(
    "/v1/artifacts/{sha256}",
    status_code=204,
    response_class=Response,
    responses=problems("artifact_not_found", "invalid_request", "internal_error"),
)
async def delete(service: ServiceDep, sha256: Sha256) -> Response:
    """Remove an artifact."""
    await service.on_disk(service.artifacts.delete, sha256)
    return Response(status_code=204)
