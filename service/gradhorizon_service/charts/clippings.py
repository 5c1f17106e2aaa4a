"""A history of gradient norms under its thresholds, or what policies leave of given gradients."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.clippings import Policy, TensorAfter
from gradhorizon.schemas.values import IntSeries, Log10Series, NullableNumber

from .spec import COLOURS, Row, Spec, chart, layer, name, number, rows, rule

_MOST_TENSORS = 40
_MOST_SAID = 4
_GIVEN = "as given"


class _History(ReportModel):
    step: IntSeries
    log10_norm: Log10Series


class _Advice(ReportModel):
    threshold: NullableNumber
    says: str


class _Clipped(ReportModel):
    policy: Policy
    says: str
    tensors: list[TensorAfter] | None = None


class Reads(ReportModel):
    """What is drawn of an answer about clipping."""

    history: _History | None
    policies: list[_Clipped]
    advice: _Advice


def draw(report: Reads) -> Spec:
    """The norm by step of a history with every threshold; of given gradients each one's norm after every policy."""
    return _tensors(report) if report.history is None else _history(report, report.history)


def _history(report: Reads, history: _History) -> Spec:
    line = rows({"step": history.step, "log10_norm": history.log10_norm})
    layers = [
        layer(
            {"type": "line", "color": COLOURS[0], "point": len(line) < 100},
            line,
            x=number("step", "step of the training"),
            y=number("log10_norm", "log10 gradient norm (decades)"),
        )
    ]
    thresholds = {_label(clipped.policy): clipped.policy.threshold for clipped in report.policies}
    for label, threshold in {**thresholds, "advised": report.advice.threshold}.items():
        if threshold is not None and threshold > 0.0:
            layers += rule(y=float(np.log10(threshold)), label=label)
    subtitle = [report.advice.says, *_said(report)]
    return chart(layers, title="Gradient norms and where clipping steps in", subtitle=subtitle)


def _tensors(report: Reads) -> Spec:
    found = [row for clipped in report.policies for row in _norms(clipped)]
    tensors = list(dict.fromkeys(row["tensor"] for row in found))[:_MOST_TENSORS]
    order = list(dict.fromkeys([_GIVEN, *(row["policy"] for row in found)]))
    drawn = layer(
        {"type": "point", "size": 90},
        [row for row in found if row["tensor"] in tensors],
        x=number("log10_norm", "log10 gradient norm (decades)"),
        y=name("tensor", None, order=tensors),
        color=name("policy", None, order=order),
        shape=name("policy", None, order=order, legend=None),
    )
    given = [tensor.name for clipped in report.policies[:1] for tensor in clipped.tensors or []]
    undrawn = [tensor for tensor in given if tensor not in tensors]
    left_out = [f"not drawn: {', '.join(undrawn)}"] if undrawn else []
    title = "What clipping leaves of each gradient"
    return chart([drawn], title=title, subtitle=[*_said(report), *left_out], height={"step": 26})


def _norms(clipped: _Clipped) -> list[Row]:
    """Each tensor before and after; exact zeros and what is not finite are left out."""
    tensors = clipped.tensors or []
    before = rows({"tensor": [t.name for t in tensors], "log10_norm": [t.log10_norm_before for t in tensors]})
    after = rows({"tensor": [t.name for t in tensors], "log10_norm": [t.log10_norm_after for t in tensors]})
    label = _label(clipped.policy)
    return [*({**row, "policy": _GIVEN} for row in before), *({**row, "policy": label} for row in after)]


def _label(policy: Policy) -> str:
    if policy.kind == "none":
        return "none"
    threshold = "" if policy.threshold is None else f" at {policy.threshold:g}"
    return f"{policy.framework or policy.kind}{threshold}"


def _said(report: Reads) -> list[str]:
    return [f"{_label(clipped.policy)}: {clipped.says}" for clipped in report.policies[:_MOST_SAID]]
