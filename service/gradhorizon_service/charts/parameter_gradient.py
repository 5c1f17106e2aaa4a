"""Which lags the gradient of the weights comes from."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnostics import ParameterGradientReport

from .spec import COLOURS, Spec, chart, layer, number, rows, rule


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    parameter_gradient: ParameterGradientReport


def draw(report: Reads) -> Spec:
    """The share of each lag in the gradient of the weights."""
    found = report.parameter_gradient
    shares = rows({"lag": found.lag, "share": found.share})
    layers = [
        layer(
            {"type": "area", "line": {"color": COLOURS[0]}, "opacity": 0.35, "color": COLOURS[0]},
            shares,
            x=number("lag", "lag (steps back from the loss)"),
            y=number("share", "share of the gradient of the weights", zero=True),
        )
    ]
    if found.steps_holding_95_percent is not None:
        layers += rule(x=found.steps_holding_95_percent, label="95 % is this side")
    return chart(layers, title="Which steps back the weights learn from")
