"""Lyapunov exponents with their standard errors."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnostics import LyapunovReport

from .spec import COLOURS, Spec, chart, layer, number, rows, rule


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    lyapunov: LyapunovReport


def draw(report: Reads) -> Spec:
    """Every Lyapunov exponent; bars are two standard errors to each side."""
    found = report.lyapunov
    index = np.arange(1, len(found.exponents) + 1)
    errors = (
        found.standard_errors if len(found.standard_errors) == len(index) else np.full(len(index), np.nan)
    )
    x, title = number("index", "index, largest first"), "Lyapunov exponent (nats per step)"
    points = rows({"index": index, "exponent": found.exponents})
    bars = rows({"index": index, "low": found.exponents - 2 * errors, "high": found.exponents + 2 * errors})
    layers = [
        *rule(y=0.0),
        layer({"type": "rule", "color": COLOURS[0]}, bars, x=x, y=number("low", title), y2={"field": "high"}),
        layer({"type": "point", "color": COLOURS[0]}, points, x=x, y=number("exponent", title, zero=True)),
    ]
    settled = "settled over this depth" if found.converged else "not settled over this depth"
    return chart(
        layers, title="Growth rate of every direction", subtitle=f"bars: two standard errors; {settled}"
    )
