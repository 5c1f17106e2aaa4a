"""What a person wants to see of an answer about clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..schemas.clippings import ClippedGradients, ClippedHistory
from .text import Row, Section, Summary, decades, number

if TYPE_CHECKING:
    from ..schemas import Clippings
    from ..schemas.clippings import NormEvent, Policy

ROWS = 14
"""Tensors shown; the report itself holds them all."""
STEPS = 5
"""Steps shown of an event."""


def summarize_clippings(report: Clippings) -> Summary:
    """Return the advice, what was given, and what every policy makes of it."""
    sections = [
        _gradients(report),
        _policies(report),
        _history(report),
        _histories(report),
        _advice(report),
    ]
    provenance = report.provenance
    threshold = report.advice.threshold
    return Summary(
        status="no threshold" if threshold is None else f"threshold {number(threshold)}",
        headline=report.advice.says,
        sections=tuple(section for section in sections if section is not None),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=f"gradhorizon {provenance.engine_version}, {report.dtype}, {provenance.seconds:.3g} s",
    )


def _gradients(report: Clippings) -> Section | None:
    given = report.gradients
    if given is None:
        return None
    largest = sorted(given.tensors, key=lambda tensor: tensor.share or 0.0, reverse=True)
    rows = [
        (
            tensor.name,
            decades(tensor.log10_norm),
            number(tensor.share),
            str(tensor.nans + tensor.infinities),
        )
        for tensor in largest[:ROWS]
    ]
    rows.append(("all", decades(given.log10_total_norm), "", ""))
    notes = (f"{len(largest) - ROWS} more tensors are in the report",) if len(largest) > ROWS else ()
    return Section("Gradients as given", ("", "log10 norm", "share", "NaN or infinite"), tuple(rows), notes)


def _policies(report: Clippings) -> Section | None:
    policies = [found for found in report.policies if isinstance(found, ClippedGradients)]
    if not policies:
        return None
    rows = tuple(
        (
            policy_name(found.policy),
            number(found.total_norm),
            number(found.factor),
            number(found.cosine),
            f"{decades(found.log10_total_norm)} -> {decades(found.log10_norm_after)}",
        )
        for found in policies
    )
    notes = tuple(f"{policy_name(found.policy)}: {found.says}" for found in policies)
    return Section("Policies", ("", "norm", "factor", "cosine", "log10 norm"), rows, notes)


def _history(report: Clippings) -> Section | None:
    history = report.history
    if history is None:
        return None
    rows: list[Row] = [("norms", f"{history.count}, of which {history.finite} finite")]
    if history.statistics is not None:
        found = history.statistics
        rows += [
            ("median", decades(found.log10_median)),
            ("10 .. 90 %", f"{decades(found.log10_q10)} .. {decades(found.log10_q90)}"),
            ("99 %", decades(found.log10_q99)),
            ("largest", decades(found.log10_max)),
            ("outliers", "undefined" if found.outliers is None else str(found.outliers)),
            ("tail index", number(found.tail_index)),
            ("drift in decades", number(found.drift_decades)),
        ]
    return Section("Norms, log10", ("", ""), tuple(rows), tuple(map(_event, history.events)))


def _histories(report: Clippings) -> Section | None:
    policies = [found for found in report.policies if isinstance(found, ClippedHistory)]
    if not policies:
        return None
    rows = tuple(
        (
            policy_name(found.policy),
            f"{100.0 * found.share_clipped:.3g} %",
            number(found.mean_factor),
            number(found.kept_length),
        )
        for found in policies
    )
    notes = tuple(f"{policy_name(found.policy)}: {found.says}" for found in policies)
    return Section("Policies", ("", "steps clipped", "mean factor", "length kept"), rows, notes)


def _advice(report: Clippings) -> Section | None:
    candidates = report.advice.candidates
    if not candidates:
        return None
    rows = tuple(
        (
            number(candidate.threshold),
            f"{100.0 * candidate.share_clipped:.3g} %",
            number(candidate.mean_factor),
            candidate.basis,
        )
        for candidate in candidates
    )
    return Section("Thresholds to choose from", ("threshold", "steps clipped", "mean factor", ""), rows)


def policy_name(policy: Policy) -> str:
    """Return a policy in a few words: torch norm at 1."""
    if policy.threshold is None:
        return "no clipping"
    kind = "norm" if policy.norm_type != "inf" else "inf-norm"
    words = (policy.framework, kind) if policy.kind == "norm" else (policy.kind,)
    return " ".join((*filter(None, words), f"at {policy.threshold:g}"))


def _event(event: NormEvent) -> str:
    steps = ", ".join(map(str, event.steps[:STEPS].tolist()))
    more = " and more" if event.count > STEPS else ""
    at = "step" if event.count == 1 else f"{event.count} steps:"
    return f"{event.kind.replace('_', ' ')} at {at} {steps}{more}: {event.says}"
