"""The critical line of wide random networks, and where one of them stands."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.mean_fields import CriticalLine
from gradhorizon.schemas.values import Number

from .spec import COLOURS, Spec, chart, layer, number, rows


class Reads(ReportModel):
    """What is drawn of a mean-field theory that was asked for its critical line."""

    activation: str
    weight_variance: Number
    bias_variance: Number
    phase: str
    critical_line: CriticalLine


def draw(report: Reads) -> Spec:
    """Where chi_1 = 1 in the plane of both variances, and the network asked about."""
    line = report.critical_line
    x, y = number("bias", "bias variance"), number("weight", "weight variance")
    critical = rows({"bias": line.bias_variance, "weight": line.weight_variance})
    here = [{"bias": report.bias_variance, "weight": report.weight_variance}]
    order = {"field": line.over.removesuffix("_variance"), "type": "quantitative"}
    layers = [
        layer({"type": "line", "color": COLOURS[0], "point": True}, critical, x=x, y=y, order=order),
        layer({"type": "point", "color": COLOURS[1], "size": 90}, here, x=x, y=y),
    ]
    missing = len(line.weight_variance) - len(critical)
    subtitle = [f"line: gradients keep their size (chi_1 = 1); dot: this network, {report.phase}"]
    if missing:
        subtitle.append(f"at {missing} points of the line there is no critical variance")
    return chart(layers, title=f"The critical line of {report.activation}", subtitle=subtitle)
