"""Charts: from a report, as the service answered it, to a Vega-Lite specification. One file a chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradhorizon.schemas._base import ReportModel

from . import (
    checkpoint,
    clippings,
    comparison,
    descent,
    gradient_norms,
    lyapunov,
    mean_field,
    parameter_gradient,
    remedies,
    singular_values,
    spectrum,
    state_norms,
)
from .spec import Spec


@dataclass(frozen=True)
class Chart:
    """A kind of chart: the part of a report that it reads, and how that is drawn."""

    reads: type[ReportModel]
    draw: Callable[[Any], Spec]


CHARTS: Mapping[str, Chart] = {
    "gradient_norms": Chart(gradient_norms.Reads, gradient_norms.draw),
    "singular_values": Chart(singular_values.Reads, singular_values.draw),
    "lyapunov": Chart(lyapunov.Reads, lyapunov.draw),
    "spectrum": Chart(spectrum.Reads, spectrum.draw),
    "remedies": Chart(remedies.Reads, remedies.draw),
    "parameter_gradient": Chart(parameter_gradient.Reads, parameter_gradient.draw),
    "state_norms": Chart(state_norms.Reads, state_norms.draw),
    "comparison": Chart(comparison.Reads, comparison.draw),
    "descent": Chart(descent.Reads, descent.draw),
    "checkpoint": Chart(checkpoint.Reads, checkpoint.draw),
    "clippings": Chart(clippings.Reads, clippings.draw),
    "mean_field": Chart(mean_field.Reads, mean_field.draw),
}
"""Kind -> chart; the claims add one each (`gradhorizon_service.claims.CHARTS`)."""

__all__ = ["CHARTS", "Chart", "Spec"]
