"""The norm of the state by step."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnostics import StateNormsReport

from .spec import COLOURS, Spec, chart, layer, number, rows


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    state_norms: StateNormsReport


def draw(report: Reads) -> Spec:
    """The norm of the state by step, median and quantiles over the batch."""
    norms = report.state_norms
    x, title = number("step", "step"), "log10 state norm (decades)"
    band = rows({"step": norms.step, "low": norms.log10_q10, "high": norms.log10_q90})
    line = rows({"step": norms.step, "log10_norm": norms.log10_norm})
    area = {"type": "area", "opacity": 0.2, "color": COLOURS[0]}
    layers = [
        layer(area, band, x=x, y=number("low", title), y2={"field": "high"}),
        layer({"type": "line", "color": COLOURS[0]}, line, x=x, y=number("log10_norm", title)),
    ]
    return chart(
        layers, title="How large the state is", subtitle="median over the batch; shaded: 10 % to 90 %"
    )
