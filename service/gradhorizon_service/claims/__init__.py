"""Claims about gradients, one file each: a sentence, a criterion fixed beforehand, requests, a verdict that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradhorizon.schemas import Claim as ClaimReport
from gradhorizon.schemas import Claims, Offer
from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.claims import ClaimOffer
from gradhorizon_service.analysis.tasks import Operation
from gradhorizon_service.charts import CHARTS as REPORT_CHARTS
from gradhorizon_service.charts import Chart, Spec

from . import (
    clipping_symptom,
    depth_ten,
    dominant_direction,
    echo_state,
    eigenvalue_growth,
    leaky_units,
    lstm,
    nan_parameters,
    not_the_sigmoid,
    overshoot,
    skip_connections,
    small_at_a_minimum,
    unshared_is_easy,
)
from ._claim import Claim, ClaimTask, Question
from ._judgement import Point

CLAIMS: Mapping[str, Claim[Any]] = {
    "eigenvalue-growth": eigenvalue_growth.CLAIM,
    "dominant-direction": dominant_direction.CLAIM,
    "overshoot": overshoot.CLAIM,
    "nan-parameters": nan_parameters.CLAIM,
    "not-the-sigmoid": not_the_sigmoid.CLAIM,
    "small-at-a-minimum": small_at_a_minimum.CLAIM,
    "unshared-is-easy": unshared_is_easy.CLAIM,
    "depth-ten": depth_ten.CLAIM,
    "clipping-symptom": clipping_symptom.CLAIM,
    "echo-state": echo_state.CLAIM,
    "leaky-units": leaky_units.CLAIM,
    "skip-connections": skip_connections.CLAIM,
    "lstm": lstm.CLAIM,
}
"""Name -> claim, in the order in which the article comes to them."""


class _Judged(ReportModel):
    """What is drawn of a judged claim."""

    points: list[Point]


def _chart(claim: Claim[Any]) -> Chart:
    def draw(report: _Judged) -> Spec:
        return claim.draw(report.points)

    draw.__doc__ = f"The claim {claim.name}: {claim.sentence}"
    return Chart(_Judged, draw)


CHARTS: Mapping[str, Chart] = {
    **REPORT_CHARTS,
    **{name: _chart(claim) for name, claim in CLAIMS.items()},
}
"""Kind -> chart: those of reports, and of judged claims by the claim's name."""

OPERATIONS: Mapping[str, Operation] = {
    f"/v1/claims/{name}": Operation(claim.parameters, ClaimReport, claim.prepare)
    for name, claim in CLAIMS.items()
}
"""Address -> operation."""


def list_claims() -> Claims:
    """Every claim with its sentence, its criterion by default and what can be changed about it."""
    return Claims(claims=[_offer(claim) for claim in CLAIMS.values()])


def _offer(claim: Claim[Any]) -> ClaimOffer:
    return ClaimOffer.model_validate(
        {
            "name": claim.name,
            "sentence": claim.sentence,
            "criterion": claim.criterion(claim.parameters()),
            "parameters": claim.parameters.model_json_schema(),
        }
    )


def offers() -> Sequence[Offer]:
    """The claims as the catalog lists them."""
    return [
        Offer(name=claim.name, says=claim.sentence, parameters=list(claim.parameters.model_fields))
        for claim in CLAIMS.values()
    ]


def chart_offers() -> Sequence[Offer]:
    """The charts as the catalog lists them."""
    return [
        Offer(
            name=kind,
            says=" ".join((chart.draw.__doc__ or "").split()),
            parameters=list(chart.reads.model_fields),
        )
        for kind, chart in CHARTS.items()
    ]


__all__ = [
    "CHARTS",
    "CLAIMS",
    "OPERATIONS",
    "Claim",
    "ClaimTask",
    "Question",
    "chart_offers",
    "list_claims",
    "offers",
]
