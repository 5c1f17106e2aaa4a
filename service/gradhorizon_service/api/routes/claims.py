"""GET /v1/claims and POST /v1/claims/{name}: sentences about gradients, run again and judged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from gradhorizon.schemas import Claim, Claims
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.api.answering import JSON, answer, require_json_accepted
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import COMPUTING, problems
from gradhorizon_service.api.refusals import UnknownName
from gradhorizon_service.claims import CLAIMS, list_claims

router = APIRouter(tags=["claims"])

Name = Annotated[str, Path(description="One of the claims listed.", json_schema_extra={"enum": list(CLAIMS)})]
_ASKED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "description": "What to change about the claim; GET /v1/claims has the schema of each. "
                    "An empty object runs it as it stands.",
                },
                "example": {},
            }
        },
    },
}


@router.get("/v1/claims", response_model=Claims, responses=problems("not_acceptable", "internal_error"))
async def claims(request: Request) -> Response:
    """Every claim: its sentence, its criterion, and what can be changed about it."""
    require_json_accepted(request)
    return Response(encode(list_claims()), media_type=JSON)


@router.post(
    "/v1/claims/{name}",
    response_model=Claim,
    responses=problems(*COMPUTING, "not_found"),
    openapi_extra=_ASKED,
)
async def judge_claim(name: Name, request: Request, service: ServiceDep) -> Response:
    """Run what is behind a claim, and judge it by a criterion that was fixed beforehand and can fail."""
    claim = CLAIMS.get(name)
    if claim is None:
        raise UnknownName("claim", CLAIMS)
    return await answer(request, service, claim.parameters, claim.prepare)
