"""GET /v1/catalog: what this server offers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradhorizon.schemas import Catalog
from gradhorizon_service import claims
from gradhorizon_service.analysis.catalog import build_catalog
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.api.answering import JSON, require_json_accepted
from gradhorizon_service.api.deps import ServiceDep
from gradhorizon_service.api.openapi import problems

router = APIRouter(tags=["catalog"])


@router.get("/v1/catalog", response_model=Catalog, responses=problems("not_acceptable", "internal_error"))
async def catalog(request: Request, service: ServiceDep) -> Response:
    """Cells, activations, sources, diagnostics, claims, charts and limits, with a sentence each."""
    require_json_accepted(request)
    return Response(
        encode(
            build_catalog(
                service.limits,
                service.settings.artifact_limits(),
                claims=claims.offers(),
                charts=claims.chart_offers(),
            )
        ),
        media_type=JSON,
    )
