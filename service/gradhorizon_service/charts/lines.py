"""Gradient norms of several networks on the same axes."""

from __future__ import annotations

from collections.abc import Mapping

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.values import IntSeries, Log10Series

from .spec import Row, Spec, layer, name, number, rows

_MOST_LINES = 12


class NormsByLag(ReportModel):
    """What a line is drawn of."""

    lag: IntSeries
    log10_norm: Log10Series


def relative_lines(norms: Mapping[str, NormsByLag], what: str) -> Spec:
    """The norm of the gradient by lag, one line each, relative to its own loss; the first twelve of many."""
    drawn = list(norms)[:_MOST_LINES]
    return layer(
        "line",
        [{what: label, **row} for label in drawn for row in _relative(norms[label])],
        x=number("lag", "lag (steps back from the loss)"),
        y=number("change", "gradient norm relative to lag 0 (decades)"),
        color=name(what, None, order=drawn),
    )


def _relative(norms: NormsByLag) -> list[Row]:
    found = rows({"lag": norms.lag, "change": norms.log10_norm})
    start = found[0]["change"] if found else 0.0
    return [{"lag": row["lag"], "change": row["change"] - start} for row in found]
