"""What a person wants to see of claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import Section, Summary, number, origin

if TYPE_CHECKING:
    from ..schemas import Claim, Claims
    from ..schemas.claims import ClaimNumber

_SIGNS = {"at_most": "at most", "at_least": "at least", None: ""}
_MET = {True: "yes", False: "no", None: ""}


def summarize_claim(report: Claim) -> Summary:
    """Return the verdict with its reason, and the numbers it rests on."""
    rows = tuple(
        (
            found.quantity,
            number(found.value),
            _bound(found),
            _MET[found.met],
            found.says if found.value_reason is None else f"{found.says} ({found.value_reason})",
        )
        for found in report.numbers
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
        origin=f"{origin(report.provenance)}, {len(report.requests)} requests",
    )


def _bound(found: ClaimNumber) -> str:
    return "" if found.threshold is None else f"{_SIGNS[found.relation]} {number(found.threshold)}"


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
