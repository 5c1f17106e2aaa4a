"""Sentences about gradients that are usually repeated, each run again and judged by a criterion fixed beforehand."""

from __future__ import annotations

from typing import Any, Literal

from ._base import ReportModel, RequestModel
from .diagnoses import Provenance
from .sources import Seed
from .values import NullableNumber

ClaimVerdict = Literal["holds", "holds_partly", "fails"]


class ClaimParameters(RequestModel):
    """What can be changed about a claim; every claim has a model of its own with its defaults and limits."""

    seed: Seed = 0


class ClaimRequest(ReportModel):
    """One request behind a claim, as anyone can send it.

    Fields that an earlier answer fills are named in `completed_by`: the field here, and where it comes from there.
    """

    name: str
    method: Literal["POST"]
    path: str
    body: dict[str, Any]
    completed_by: dict[str, str]


class ClaimCriterion(ReportModel):
    """What was decided before anything was run: a sentence, and the thresholds in it by their names in `numbers`."""

    says: str
    thresholds: dict[str, float]


class ClaimNumber(ReportModel):
    """One measured quantity; with a threshold it is a condition of the criterion, and `met` says whether it holds.

    A claim fails with an `essential` condition, and holds partly without one of the others.
    """

    quantity: str
    value: NullableNumber
    value_reason: str | None
    threshold: NullableNumber
    relation: Literal["at_most", "at_least"] | None
    met: bool | None
    essential: bool | None
    says: str


class Claim(ReportModel):
    """The answer of POST /v1/claims/{name}; `when` limits a claim that holds partly.

    `points` are the rows of the chart, which POST /v1/charts/{name} draws of this answer.
    """

    id: str
    name: str
    sentence: str
    criterion: ClaimCriterion
    parameters: dict[str, Any]
    requests: list[ClaimRequest]
    numbers: list[ClaimNumber]
    verdict: ClaimVerdict
    reason: str
    when: str | None
    points: list[dict[str, bool | int | float | str | None]]
    chart: dict[str, Any]
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance


class ClaimOffer(ReportModel):
    """One claim as it is listed: its sentence, its criterion by default, the JSON schema of its parameters."""

    name: str
    sentence: str
    criterion: ClaimCriterion
    parameters: dict[str, Any]


class Claims(ReportModel):
    """The answer of GET /v1/claims."""

    claims: list[ClaimOffer]
