"""The two figures, as Vega-Lite specifications with their numbers inline, and as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .measuring import SWEEP_SIZE
from .networks import DEFAULTS, SIZES
from .record import Record

Spec = dict[str, Any]
VEGA_LITE = "5.21"
_FAINT = "#8a8a8a"
_LINES = ("#D55E00", "#E69F00", "#CC79A7", "#0072B2", "#009E73", "#56B4E9")
"""Warm for PyTorch, cool for Keras; Okabe and Ito's, which stay apart for colour-blind eyes."""
_ENDS: Mapping[str | None, tuple[str, str, str]] = {
    "decay": ("fades to a thousandth", "#0072B2", "circle"),
    "growth": ("grows a thousandfold", "#D55E00", "square"),
    None: ("neither within the depth", _FAINT, "triangle-up"),
}
"""Direction of a horizon -> what that is called, colour and shape."""
_CONFIG: Spec = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e6e6e6", "domainColor": _FAINT, "tickColor": _FAINT, "titleFontWeight": 500},
    "legend": {"labelLimit": 220},
    "title": {"anchor": "start", "offset": 12, "subtitleColor": "#555555"},
}


def gradient_by_lag(record: Record) -> Spec:
    """The norm of the gradient by lag, a line for each default initialisation at the larger size."""
    size = SIZES[-1]
    names = [layer.name for layer in DEFAULTS]
    values = [
        {"layer": name, "lag": lag, "decades": decades}
        for name in names
        for lag, decades in enumerate(record.row(name, size).curve)
    ]
    lines = _layer(
        {"type": "line", "strokeWidth": 2, "clip": True},
        values,
        x=_number("lag", "lag (steps back from the loss)"),
        y=_number("decades", "gradient norm relative to lag 0 (decades)", nice=False, domain=[-8, 0.5]),
        color=_name("layer", names, _LINES),
        strokeDash=_name("layer", names, [[1, 0]] * 3 + [[6, 3]] * 3),
    )
    return _chart(
        [*_rule(-3.0, "a thousandth"), lines],
        f"Gradient by lag, default initialisations, H = {size}",
        f"median of {record.settings.seeds} seeds, unit-normal inputs",
    )


def horizon_by_forget_bias(record: Record) -> Spec:
    """The horizon of PyTorch's LSTM against its forget bias, a point a seed, and the median as a line."""
    depth = record.settings.depth
    directions = {direction for swept in record.sweep for direction in swept.directions}
    kinds, colours, shapes = zip(*(_ENDS[end] for end in _ENDS if end in directions), strict=True)
    points = [
        {"bias": swept.forget_bias, "steps": steps or depth, "kind": _ENDS[direction][0]}
        for swept in record.sweep
        for steps, direction in zip(swept.horizons, swept.directions, strict=True)
    ]
    medians = [
        {"bias": swept.forget_bias, "steps": swept.horizon}
        for swept in record.sweep
        if swept.horizon is not None
    ]
    x = _number("bias", "forget bias")
    y = _number("steps", "horizon (steps)", type="log", domain=[5, 1.3 * depth], nice=False)
    y["axis"] = {"values": [5, 10, 20, 50, 100, 200, 500]}
    line = _layer({"type": "line", "color": colours[0], "strokeWidth": 1.5}, medians, x=x, y=y)
    marks = _layer(
        {"type": "point", "filled": True, "size": 50, "opacity": 0.8},
        points,
        x=x,
        y=y,
        color=_name("kind", kinds, colours),
        shape=_name("kind", kinds, shapes),
    )
    return _chart(
        [line, marks],
        f"How far back an LSTM's gradient reaches, H = {SWEEP_SIZE}",
        f"PyTorch's initialisation but for the forget bias; line: median of {record.settings.seeds} seeds",
    )


FIGURES = {
    "golden-gradient-by-lag.svg": gradient_by_lag,
    "golden-horizon-by-forget-bias.svg": horizon_by_forget_bias,
}
"""File beside the page -> specification."""


def svg(spec: Spec) -> str:
    """Render a specification; nothing is fetched for it."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=VEGA_LITE, allowed_base_urls=[]))


def _chart(layers: list[Spec], title: str, subtitle: str) -> Spec:
    return {
        "title": {"text": title, "subtitle": subtitle},
        "width": 520,
        "height": 300,
        "layer": layers,
        "config": _CONFIG,
    }


def _layer(mark: Spec, values: Sequence[Spec], **encoding: Spec) -> Spec:
    return {"mark": mark, "data": {"values": values}, "encoding": encoding}


def _number(field: str, title: str, **scale: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False, **scale}}


def _name(field: str, names: Sequence[str], looks: Sequence[Any]) -> Spec:
    return {"field": field, "type": "nominal", "title": None, "scale": {"domain": names, "range": looks}}


def _rule(y: float, label: str) -> list[Spec]:
    text = {"type": "text", "text": label, "align": "right", "dx": -4, "dy": -7, "color": "#555555"}
    return [
        _layer({"type": "rule", "color": _FAINT, "strokeDash": [4, 4]}, [{}], y={"datum": y}),
        _layer(text, [{}], x={"value": "width"}, y={"datum": y}),
    ]
