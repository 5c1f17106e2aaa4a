"""Eigenvalues in the complex plane."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnostics import SpectrumReport

from .spec import COLOURS, FAINT, INK, Spec, chart, layer, number, rows

_SIDE = 360
_CIRCLE = np.linspace(0.0, 2.0 * np.pi, 181)


class Reads(ReportModel):
    """What is drawn of a diagnosis, or of the answer about one matrix."""

    spectrum: SpectrumReport


def draw(report: Reads) -> Spec:
    """Eigenvalues in the complex plane: outside the unit circle modes grow, inside they fade."""
    values = report.spectrum.eigenvalues
    finite = np.abs(values)[np.isfinite(values)]
    reach = 1.1 * max(1.0, float(finite.max(initial=0.0)))
    scale = {"domain": [-reach, reach], "nice": False}
    axes = {
        "x": number("re", "real part") | {"scale": scale},
        "y": number("im", "imaginary part") | {"scale": scale},
    }
    circle = rows({"re": np.cos(_CIRCLE), "im": np.sin(_CIRCLE), "place": np.arange(len(_CIRCLE))})
    inside = np.abs(values) <= 1.0
    points = rows(
        {"re": values.real, "im": values.imag, "place": np.where(inside, "inside", "outside").tolist()}
    )
    colour = {
        "field": "place",
        "type": "nominal",
        "title": None,
        "scale": {"domain": ["inside", "outside"], "range": list(COLOURS[:2])},
    }
    outline = {"type": "line", "color": FAINT, "strokeDash": [4, 4], "strokeWidth": 1}
    layers = [
        layer(outline, circle, **axes, order={"field": "place", "type": "quantitative"}),
        layer({"type": "point", "stroke": INK, "strokeWidth": 0.3}, points, **axes, color=colour),
    ]
    radius = report.spectrum.spectral_radius
    return chart(
        layers,
        title="Eigenvalues of the recurrent matrix",
        subtitle=f"spectral radius {radius:.4g}; dashed: the unit circle",
        width=_SIDE,
        height=_SIDE,
    )
