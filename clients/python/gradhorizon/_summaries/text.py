"""Headings, small tables of text, and how numbers read in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..schemas.diagnoses import Provenance
    from ..schemas.values import Array

ROWS = 14
"""Lags shown of a series; the report itself holds them all."""

_LEAST_SPAN = 3.0
"""Decades that a full bar stands for at least, so that a flat series looks flat."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One small table: its first column names things, the others hold numbers; `notes` are sentences below it."""

    title: str
    columns: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """A report for people."""

    status: str
    headline: str
    sections: tuple[Section, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    origin: str


def origin(provenance: Provenance) -> str:
    """Return what made a report: version, seed and time."""
    return f"gradhorizon {provenance.engine_version}, seed {provenance.seed}, {provenance.seconds:.3g} s"


def spread(lags: Array, horizon: int | None) -> list[int]:
    """Return indices of at most `ROWS` lags, dense near 0, with both ends and the horizon."""
    last = len(lags) - 1
    wanted = np.unique(np.round(np.geomspace(1, last + 1, ROWS)).astype(int) - 1)
    chosen = set(wanted.tolist())
    if horizon is not None and horizon in lags:
        chosen.add(int(np.flatnonzero(lags == horizon)[0]))
    return sorted(chosen)


def bars(log10: Array, width: int = 24) -> list[str]:
    """Return a bar for each logarithm, the longest for the largest; those of zeros have none."""
    finite = log10[np.isfinite(log10)]
    if len(finite) == 0:
        return [""] * len(log10)
    high = float(finite.max())
    low = min(float(finite.min()), high - _LEAST_SPAN)
    scale = (width - 1) / (high - low)
    return ["█" * (1 + round((x - low) * scale)) if math.isfinite(x) else "" for x in log10.tolist()]


def decades(value: float) -> str:
    """Return a logarithm of a magnitude to three decimals."""
    if math.isnan(value):
        return "undefined"
    return "zero" if value == -math.inf else f"{round(value, 3) + 0.0:.3f}"  # + 0.0: no minus before a zero


def number(value: float | None) -> str:
    """Return a number to four digits."""
    return "undefined" if value is None or math.isnan(value) else f"{value:.4g}"


def complex_number(value: complex) -> str:
    """Return a number to four digits, without an imaginary part of zero."""
    if value.imag == 0:
        return f"{value.real:.4g}"
    return f"{value.real:.4g} {'-' if value.imag < 0 else '+'} {abs(value.imag):.4g}i"


def steps(value: int | None) -> str:
    """Return a horizon."""
    return "beyond the depth" if value is None else f"{value} steps"


def percent(share: float) -> str:
    """Return a share of one in percent."""
    return f"{100.0 * share:.3g} %"


def yes(value: bool) -> str:
    """Return a flag as a word."""
    return "yes" if value else "no"
