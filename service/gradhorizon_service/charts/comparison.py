"""Gradient norms of several networks side by side."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.values import IntSeries, Log10Series

from .spec import Row, Spec, chart, layer, name, number, rows

_MOST_LINES = 12


class _Ranked(ReportModel):
    rank: int
    name: str


class _Norms(ReportModel):
    lag: IntSeries
    log10_norm: Log10Series


class _Diagnosed(ReportModel):
    gradient_norms: _Norms


class Reads(ReportModel):
    """What is drawn of a comparison; its diagnoses need gradient_norms."""

    says: str
    rows: list[_Ranked]
    diagnoses: dict[str, _Diagnosed]


def draw(report: Reads) -> Spec:
    """The norm of the gradient by lag, one line a row, relative to its own loss; the first twelve of many rows."""
    ranked = [row.name for row in report.rows if row.name in report.diagnoses][:_MOST_LINES]
    lines = [row for label in ranked for row in _line(label, report.diagnoses[label].gradient_norms)]
    drawn = layer(
        "line",
        lines,
        x=number("lag", "lag (steps back from the loss)"),
        y=number("change", "gradient norm relative to lag 0 (decades)"),
        color=name("row", None, order=ranked),
    )
    return chart([drawn], title="Which carries the gradient farthest", subtitle=report.says)


def _line(label: str, norms: _Norms) -> list[Row]:
    found = rows({"lag": norms.lag, "change": norms.log10_norm})
    start = found[0]["change"] if found else 0.0
    return [{"row": label, "lag": row["lag"], "change": row["change"] - start} for row in found]
