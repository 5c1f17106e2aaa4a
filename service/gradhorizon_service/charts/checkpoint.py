"""Gradient norms of the layers of a checkpoint side by side."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel

from .lines import NormsByLag, relative_lines
from .spec import Spec, chart


class _Diagnosed(ReportModel):
    gradient_norms: NormsByLag | None


class _Layer(ReportModel):
    name: str
    diagnosis: _Diagnosed | None


class Reads(ReportModel):
    """What is drawn of a checkpoint's diagnosis; layers without gradient_norms are left out."""

    says: str
    layers: list[_Layer]


def draw(report: Reads) -> Spec:
    """The norm of the gradient by lag, one line a layer, relative to its own loss; the first twelve of many layers."""
    found = {
        layer.name: layer.diagnosis.gradient_norms
        for layer in report.layers
        if layer.diagnosis is not None and layer.diagnosis.gradient_norms is not None
    }
    lines = relative_lines(found, "layer")
    return chart([lines], title="How far back the gradient reaches in every layer", subtitle=report.says)
