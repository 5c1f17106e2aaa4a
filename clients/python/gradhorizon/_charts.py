"""Charts of reports: Vega-Lite specifications, which notebooks show by themselves, and pictures of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from ._extras import service_extra

Picture = Literal["svg", "png", "vega-lite"]
VEGA_LITE = "application/vnd.vegalite.v5+json"
MEDIA_TYPES: Mapping[Picture, str] = {"svg": "image/svg+xml", "png": "image/png", "vega-lite": VEGA_LITE}
"""What a chart can be had as -> the media type of that."""

_MAIN: Mapping[str, tuple[str, ...]] = {
    "Diagnosis": (
        "gradient_norms", "singular_values", "lyapunov", "spectrum", "parameter_gradient", "state_norms", "remedies",
    ),
    "Comparison": ("comparison",),
    "Spectrum": ("spectrum",),
    "Descent": ("descent",),
    "CheckpointDiagnosis": ("checkpoint",),
    "Clippings": ("clippings",),
    "MeanField": ("mean_field",),
}  # fmt: skip
"""Report -> the charts that it may hold the numbers of, the main one first."""


class Chart:
    """A chart: `spec` is its Vega-Lite specification.

    JupyterLab and its kin draw the specification; elsewhere the picture is shown, where the extra `service` is there to
    draw it.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def __repr__(self) -> str:
        return f"<Chart: {self.spec['title']['text']}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from ._exceptions import ServiceMissing

        bundle: dict[str, Any] = {VEGA_LITE: self.spec, "text/plain": repr(self)}
        with suppress(ServiceMissing):  # the specification is enough for those that draw it
            bundle["image/svg+xml"] = self.to_svg()
        return bundle

    def to_svg(self) -> str:
        """Return the chart as SVG; raises ServiceMissing without the extra `service`."""
        return _render("svg", self.spec).decode()

    def to_png(self) -> bytes:
        """Return the chart as PNG; raises ServiceMissing without the extra `service`."""
        return _render("png", self.spec)

    def to_json(self) -> str:
        """Return the Vega-Lite specification as JSON."""
        return json.dumps(self.spec, allow_nan=False, indent=2)

    def save(self, path: str | Path) -> None:
        """Write the chart as its file name ends: .svg, .png or .json."""
        path = Path(path)
        media_type = {".svg": MEDIA_TYPES["svg"], ".png": MEDIA_TYPES["png"], ".json": VEGA_LITE}.get(
            path.suffix.lower()
        )
        if media_type is None:
            raise ValueError(f"{path.name} must end in .svg, .png or .json")
        path.write_bytes(picture_of(self, media_type))


def plot(report: Any, kind: str | None = None) -> Chart:
    """Draw a report here. Raises ValueError where it does not hold what the chart shows."""
    if hasattr(report, "chart") and kind in (None, report.name):
        return Chart(report.chart)
    from gradhorizon_service.charts import CHARTS

    kind = kind or kind_of(report)
    if kind not in CHARTS:
        raise ValueError(f"there is no chart {kind!r}; there are {', '.join(CHARTS)}")
    return Chart(_of_report(CHARTS[kind], kind, report))


def kind_of(report: Any) -> str:
    """Return the main chart of a report: of a diagnosis the first that it holds the numbers of."""
    if hasattr(report, "chart"):
        return str(report.name)
    kinds = _MAIN.get(type(report).__name__, ())
    held = [kind for kind in kinds if getattr(report, kind, True) is not None]
    if not held:
        raise ValueError(f"say which chart: a {type(report).__name__} has none of its own")
    return held[0]


def _of_report(chart: Any, kind: str, report: Any) -> dict[str, Any]:
    from pydantic import ValidationError

    try:
        spec: dict[str, Any] = chart.draw(chart.reads.model_validate(report))
    except ValidationError as error:
        missing = ", ".join(sorted({str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}))
        raise ValueError(
            f"the chart {kind} needs {missing or 'more'}, which this report does not hold"
        ) from error
    return spec


def drawn(chart: Any, report: Any) -> dict[str, Any]:
    """Return the specification of a chart of a report's JSON; raises what the service refuses it with."""
    from gradhorizon_service.analysis.reading import read_request

    spec: dict[str, Any] = chart.draw(read_request(chart.reads, report, {}))
    return spec


def picture_of(chart: Chart, media_type: str) -> bytes:
    """Return a chart as one media type."""
    if media_type == VEGA_LITE:
        return chart.to_json().encode()
    return chart.to_png() if media_type == MEDIA_TYPES["png"] else chart.to_svg().encode()


def _render(function: str, spec: dict[str, Any]) -> bytes:
    with service_extra():
        from gradhorizon_service.processes import rendering

        picture: bytes = getattr(rendering, function)(json.dumps(spec, allow_nan=False))
    return picture
