"""Gradient norms of several networks side by side."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel

from .lines import NormsByLag, relative_lines
from .spec import Spec, chart


class _Ranked(ReportModel):
    rank: int
    name: str


class _Diagnosed(ReportModel):
    gradient_norms: NormsByLag


class Reads(ReportModel):
    """What is drawn of a comparison; its diagnoses need gradient_norms."""

    says: str
    rows: list[_Ranked]
    diagnoses: dict[str, _Diagnosed]


def draw(report: Reads) -> Spec:
    """The norm of the gradient by lag, one line a row, relative to its own loss; the first twelve of many rows."""
    found = {
        row.name: report.diagnoses[row.name].gradient_norms
        for row in report.rows
        if row.name in report.diagnoses
    }
    lines = relative_lines(found, "row")
    return chart([lines], title="Which carries the gradient farthest", subtitle=report.says)
