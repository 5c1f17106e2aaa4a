"""The norm of the gradient by lag."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.values import IntSeries, Log10Series

from .spec import COLOURS, Spec, chart, layer, number, rows, rule


class _Norms(ReportModel):
    lag: IntSeries
    log10_norm: Log10Series
    log10_q10: Log10Series
    log10_q90: Log10Series


class _Horizon(ReportModel):
    steps: int | None


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    gradient_norms: _Norms
    horizon: _Horizon


def draw(report: Reads) -> Spec:
    """The norm of the gradient by lag, median and quantiles over the batch, with the horizon."""
    norms, horizon = report.gradient_norms, report.horizon
    x = number("lag", "lag (steps back from the loss)")
    band = rows({"lag": norms.lag, "low": norms.log10_q10, "high": norms.log10_q90})
    line = rows({"lag": norms.lag, "log10_norm": norms.log10_norm})
    title = "log10 gradient norm (decades)"
    layers = [
        layer(
            {"type": "area", "opacity": 0.2, "color": COLOURS[0]},
            band,
            x=x,
            y=number("low", title),
            y2={"field": "high"},
        ),
        layer({"type": "line", "color": COLOURS[0]}, line, x=x, y=number("log10_norm", title)),
    ]
    if horizon.steps is not None:
        layers += rule(x=horizon.steps, label=f"horizon {horizon.steps}")
    return chart(layers, title="How far back the gradient reaches", subtitle=_subtitle(norms))


def _subtitle(norms: _Norms) -> str:
    said = "median over the batch; shaded: 10 % to 90 %"
    zeros = int(np.isneginf(norms.log10_norm).sum())
    return f"{said}; exactly zero at {zeros} lags, not drawn" if zeros else said
