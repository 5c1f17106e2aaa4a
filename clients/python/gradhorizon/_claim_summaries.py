"""What a person wants to see of claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._summaries import Section, Summary, _number, _origin

if TYPE_CHECKING:
    from .schemas import Claim, Claims
    from .schemas.claims import ClaimNumber

_SIGNS = {"at_most": "at most", "at_least": "at least", None: ""}
_MET = {True: "yes", False: "no", None: ""}


def summarize_claim(report: Claim) -> Summary:
    """Return the verdict with its reason, and the numbers it rests on."""
    rows = tuple(
        (
            number.quantity,
            _number(number.value),
            _bound(number),
            _MET[number.met],
            number.says if number.value_reason is None else f"{number.says} ({number.value_reason})",
        )
        for number in report.numbers
    )
    notes = (report.reason, *((f"it holds {report.when}",) if report.when else ()))
    sections = (
        Section("Criterion, fixed beforehand", ("", ""), (("", report.criterion.says),)),
        Section("Numbers", ("", "measured", "asked for", "met", ""), rows, notes),
    )
    return Summary(
        status=report.verdict.replace("_", " "),
        headline=f"{report.name}: {report.sentence}",
        sections=sections,
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=f"{_origin(report.provenance)}, {len(report.requests)} requests",
    )


def _bound(number: ClaimNumber) -> str:
    return "" if number.threshold is None else f"{_SIGNS[number.relation]} {_number(number.threshold)}"


def summarize_claims(report: Claims) -> Summary:
    """Return every claim with its sentence."""
    rows = tuple((claim.name, claim.sentence) for claim in report.claims)
    return Summary(
        status=f"{len(rows)} claims",
        headline="each is run again and judged when asked for",
        sections=(Section("Claims", ("", ""), rows),),
        assumptions=(),
        warnings=(),
        origin="gradhorizon",
    )
