"""POST /v1/charts/{kind}: a report as a picture."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.drawing import JSON, OFFERED, PICTURES, draw_chart
from gradhorizon_service.api.openapi import COMPUTING, problems
from gradhorizon_service.api.refusals import UnknownName
from gradhorizon_service.claims import CHARTS

router = APIRouter(tags=["charts"])

_REPORT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "description": "A report as the service answered it, or the parts of one that the chart shows.",
                },
                "example": {
                    "gradient_norms": {
                        "lag": [0, 1, 2],
                        "log10_norm": [0.0, -0.5, -1.0],
                        "log10_q10": [0.0, -0.6, -1.2],
                        "log10_q90": [0.0, -0.4, -0.8],
                    },
                    "horizon": {"steps": 2},
                },
            }
        },
    },
}  # fmt: skip
_SAYS = "What to draw; GET /v1/catalog says what each kind shows and reads."
Kind = Annotated[str, Path(description=_SAYS, json_schema_extra={"enum": list(CHARTS)})]
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The chart, as `Accept` has it",
        "content": {
            offer: {
                "schema": {"type": "string", "format": "binary"}
                if offer in PICTURES
                else {"type": "object", "description": "A Vega-Lite specification."}
            }
            for offer in OFFERED
        },
    }
}


@router.post(
    "/v1/charts/{kind}",
    response_class=Response,
    responses={**_ANSWER, **problems(*COMPUTING, "not_found")},
    openapi_extra=_REPORT,
)
async def draw(kind: Kind, request: Request, service: ServiceDep) -> Response:
    """A report's chart as a Vega-Lite specification, SVG or PNG, by `Accept`; nothing is loaded from anywhere."""
    if kind not in CHARTS:
        raise UnknownName("kind of chart", CHARTS)
    return await draw_chart(request, service, CHARTS[kind])
