"""Reports about checkpoints as headings and small tables of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .text import Section, Summary, number, origin, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..schemas import CheckpointComparison, CheckpointDiagnosis, Diagnosis
    from ..schemas.checkpoints import DebuggerRule, LayerReport
    from ..schemas.values import Array

_GRAVITY = ("diverged", "exploding", "dead", "vanishing", "transient", "stable")
_MOST_SKIPPED = 12


def worst_status(statuses: Sequence[str]) -> str:
    """The gravest of several verdicts."""
    return next((status for status in _GRAVITY if status in statuses), "undiagnosed")


def summarize_checkpoint_diagnosis(report: CheckpointDiagnosis) -> Summary:
    """Return the table of layers, then what was found in the weights, then what was left out."""
    statuses = [layer.diagnosis.verdict.status for layer in report.layers if layer.diagnosis is not None]
    own = [f"{layer.name}: {line}" for layer in report.layers for line in layer.assumptions]
    runs = [
        f"{layer.name}: {line}"
        for layer in report.layers
        if layer.diagnosis is not None
        for line in layer.diagnosis.assumptions
    ]
    sections = (_layers(report), _findings(report), _rules(report.rules), _skipped(report))
    return Summary(
        status=worst_status(statuses),
        headline=report.says,
        sections=tuple(section for section in sections if section is not None),
        assumptions=(*report.assumptions, *own, *_shared(runs, len(statuses))),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def summarize_checkpoint_comparison(report: CheckpointComparison) -> Summary:
    """Return what became of every layer, and how far its matrices turned."""
    layers = tuple(
        (
            layer.name,
            layer.cell,
            f"{layer.status_before or 'undiagnosed'} -> {layer.status_after or 'undiagnosed'}",
            f"{_reach(layer.before)} -> {_reach(layer.after)}",
            f"{number(layer.largest_exponent_before)} -> {number(layer.largest_exponent_after)}",
            number(layer.relative_change),
        )
        for layer in report.layers
    )
    matrices = tuple(
        (
            f"{layer.name} {matrix.name}",
            f"{matrix.spectral_norm_before:.4g} -> {matrix.spectral_norm_after:.4g}",
            f"{number(matrix.spectral_radius_before)} -> {number(matrix.spectral_radius_after)}",
            number(matrix.relative_change),
            f"{_degrees(matrix.left_angles)}, {_degrees(matrix.right_angles)} (of {matrix.directions})",
        )
        for layer in report.layers
        for matrix in layer.matrices
    )
    columns = ("layer", "cell", "verdict", "horizon", "largest exponent", "relative change")
    inner = ("matrix", "largest singular value", "spectral radius", "relative change", "turned left, right")
    unmatched = tuple((row.name, row.side, row.reason) for row in report.unmatched)
    sections = [Section("Layers, a -> b", columns, layers), Section("Matrices, a -> b", inner, matrices)]
    if unmatched:
        sections.append(Section("In one of them only", ("layer", "in", "why"), unmatched))
    sections += filter(None, [_rules(report.rules)])
    return Summary(
        status=f"{len(report.layers)} layer{'' if len(report.layers) == 1 else 's'}",
        headline=report.says,
        sections=tuple(sections),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def _layers(report: CheckpointDiagnosis) -> Section:
    rows = tuple(
        (
            layer.name,
            f"{layer.cell}, {layer.framework}",
            _sizes(layer),
            "undiagnosed" if layer.diagnosis is None else layer.diagnosis.verdict.status,
            _reach(layer.diagnosis),
            number(None if layer.diagnosis is None else layer.diagnosis.horizon.decades_per_step),
        )
        for layer in report.layers
    )
    notes = tuple(
        f"{layer.name}: {layer.diagnosis.verdict.summary}"
        for layer in report.layers
        if layer.diagnosis is not None
    )
    return Section(
        "Layers", ("layer", "cell", "sizes", "verdict", "horizon", "decades per step"), rows, notes
    )


def _sizes(layer: LayerReport) -> str:
    sizes = layer.sizes
    if sizes is None:
        return ""
    units = f"{sizes.units}" if sizes.units == sizes.outputs else f"{sizes.units} ({sizes.outputs} out)"
    deep = f" x {sizes.layers}" if sizes.layers is not None else ""
    return f"{sizes.inputs if sizes.inputs is not None else '-'} -> {units}{deep}"


def _reach(diagnosis: Diagnosis | None) -> str:
    if diagnosis is None:
        return "-"
    horizon = diagnosis.horizon
    return steps(horizon.steps) if horizon.steps is not None or horizon.censored else "undefined"


def _findings(report: CheckpointDiagnosis) -> Section | None:
    rows = tuple((one.severity, one.rule, one.tensor or one.layer or "", one.says) for one in report.hygiene)
    return Section("Weights", ("", "rule", "where", ""), rows) if rows else None


def _rules(rules: Sequence[DebuggerRule]) -> Section | None:
    fired = tuple(
        (
            rule.rule,
            rule.layer or "the file",
            number(rule.value),
            number(rule.threshold),
            rule.says,
            rule.ours,
        )
        for rule in rules
        if rule.fired
    )
    if not fired:
        return None
    columns = ("rule", "where", "value", "threshold", "says", "our verdict")
    return Section("Rules of the retired debugger that fire at their defaults", columns, fired)


def _skipped(report: CheckpointDiagnosis) -> Section | None:
    rows = tuple((one.tensor, one.reason) for one in report.skipped[:_MOST_SKIPPED])
    more = len(report.skipped) - len(rows)
    notes = (f"and {more} more: the report itself has them all",) if more else ()
    return Section("Tensors in no layer", ("", ""), rows, notes) if rows else None


def _degrees(angles: Array) -> str:
    return f"{math.degrees(angles[0]):.3g}°" if len(angles) else "-"


def _shared(lines: Sequence[str], layers: int) -> list[str]:
    """What is said of every layer once, without its name."""
    said: dict[str, list[str]] = {}
    for line in lines:
        name, _, sentence = line.partition(": ")
        said.setdefault(sentence, []).append(name)
    return [
        sentence if len(names) == layers else f"{', '.join(names)}: {sentence}"
        for sentence, names in said.items()
    ]
