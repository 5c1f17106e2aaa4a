"""The singular values of the whole transport."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnostics import SingularValuesReport

from .spec import COLOURS, Spec, chart, layer, number, rows, rule


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    singular_values: SingularValuesReport


def draw(report: Reads) -> Spec:
    """Every singular value of the transport over the whole depth: above zero directions grow, below they fade."""
    found = report.singular_values
    points = rows({"index": np.arange(1, len(found.log10) + 1), "log10": found.log10})
    zeros = int(np.isneginf(found.log10).sum())
    y = number("log10", "log10 singular value (decades)", zero=True)
    mark = {"type": "line", "point": {"color": COLOURS[0]}, "color": COLOURS[0], "strokeWidth": 1}
    layers = [*rule(y=0.0), layer(mark, points, x=number("index", "index, largest first"), y=y)]
    return chart(
        layers,
        title="What the whole transport does to each direction",
        subtitle=f"above 0 gradients grow, below they fade{f'; {zeros} are exactly zero' if zeros else ''}",
    )
