"""Vega-Lite specifications as this service writes them: one look, numbers inline, nothing loaded from anywhere.

A specification is only ever built here, from numbers and names; none that a client sends is rendered, because Vega can
be told to fetch addresses and to read files.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from gradhorizon_service.analysis.errors import InvalidShape

Spec: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""The name of the language, which nobody needs to open."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's, which stay apart for colour-blind eyes; blue and vermilion, the farthest, come first."""
INK, FAINT = "#222222", "#8a8a8a"
_LINE_LENGTH = 84
MOST_ROWS = 5000
"""A chart is some hundred pixels wide: longer series are thinned evenly, both ends kept."""

_CONFIG: Spec = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {
        "anchor": "start", "fontSize": 15, "fontWeight": 600, "color": INK, "subtitleColor": "#555555",
        "subtitleFontSize": 12, "subtitlePadding": 4, "offset": 12,
    },
    "axis": {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500,
        "gridColor": "#e6e6e6", "domainColor": FAINT, "tickColor": FAINT, "labelLimit": 220,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "labelLimit": 220},
    "range": {"category": list(COLOURS)},
    "line": {"strokeWidth": 2},
    "point": {"size": 45, "filled": True},
    "bar": {"color": COLOURS[0]},
}  # fmt: skip


def chart(
    layers: Sequence[Spec],
    *,
    title: str,
    subtitle: str | Sequence[str] = "",
    width: int | Spec = 520,
    height: int | Spec = 300,
) -> Spec:
    """Layers on the same axes under one title."""
    heading: Spec = {"text": title}
    lines = [subtitle] if isinstance(subtitle, str) else subtitle
    wrapped = [piece for line in lines for piece in textwrap.wrap(line, _LINE_LENGTH)]
    if wrapped:
        heading["subtitle"] = wrapped
    return {
        "$schema": SCHEMA,
        "title": heading,
        "width": width,
        "height": height,
        "layer": list(layers),
        "config": _CONFIG,
    }


def rows(columns: Mapping[str, Any]) -> list[Row]:
    """One row for each place of series of equal length; those with a number that is not finite are left out.

    Raises InvalidShape where a report's series differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidShape("$", f"series drawn against each other must be equally long; they have {shown}")
    count = next(iter(lengths.values()))
    kept = range(count) if count <= MOST_ROWS else np.unique(np.linspace(0, count - 1, MOST_ROWS).astype(int))
    found = [{name: _plain(column[int(place)]) for name, column in columns.items()} for place in kept]
    return [row for row in found if None not in row.values()]


def _plain(value: Any) -> Any:
    """A number as JSON has it; None for NaN and infinities, which no axis shows."""
    if isinstance(value, (str, bool)) or value is None:
        return value
    number = value.item() if isinstance(value, np.generic) else value
    return number if math.isfinite(number) else None


def number(
    field: str,
    title: str,
    *,
    zero: bool = False,
    scale: Literal["linear", "log", "symlog"] = "linear",
    **more: Any,
) -> Spec:
    """An axis of numbers; the title names the quantity and its unit. symlog is a log axis that begins at zero."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": _SCALES[scale] | {"zero": zero},
        **more,
    }


_SCALES: Mapping[str, Spec] = {
    "linear": {},
    "log": {"type": "log", "nice": False},
    "symlog": {"type": "symlog", "nice": False},
}


def name(field: str, title: str | None, *, order: Sequence[str] | None = None, **more: Any) -> Spec:
    """An axis or a legend of names, in the order they come in or a given one."""
    sort = None if order is None else list(order)
    return {"field": field, "type": "nominal", "title": title, "sort": sort, **more}


def layer(mark: str | Spec, values: Sequence[Row], **encoding: Any) -> Spec:
    """One mark over rows."""
    return {"mark": mark, "data": {"values": list(values)}, "encoding": encoding}


def rule(
    *, x: float | None = None, y: float | None = None, label: str = "", dashed: bool = True
) -> list[Spec]:
    """A line across the chart at one value, with a word beside it."""
    stroke = {"type": "rule", "color": FAINT, **({"strokeDash": [4, 4]} if dashed else {})}
    where: Spec = {"x": {"datum": x}} if y is None else {"y": {"datum": y}}
    drawn: list[Spec] = [{"mark": stroke, "data": {"values": [{}]}, "encoding": where}]
    if label:
        place = (
            {"x": {"datum": x}, "y": {"value": 10}} if y is None else {"x": {"value": 6}, "y": {"datum": y}}
        )
        text = {"type": "text", "align": "left", "color": "#555555", "dx": 4, "dy": 0 if y is None else -7}
        drawn.append({"mark": {**text, "text": label}, "data": {"values": [{}]}, "encoding": place})
    return drawn
