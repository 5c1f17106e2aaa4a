"""How many steps back a gradient stays within a factor of where it started."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._types import Array
from .statistics import median

_SLACK_DECADES = 1e-9
"""A gradient that shrinks exactly to the level has not passed it; rounding must not say otherwise."""

LEVELS = (0.5, 0.1, 0.01, 0.001)
LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class Crossing:
    """The smallest lags at which the median gradient has decayed, or grown, by more than a factor; None for never."""

    decay: int | None
    growth: int | None

    @property
    def first(self) -> int | None:
        """The smaller of the two."""
        reached = [step for step in (self.decay, self.growth) if step is not None]
        return min(reached) if reached else None


@dataclass(frozen=True)
class LevelCrossing:
    """The horizon at another level."""

    level: float
    steps: int | None


@dataclass(frozen=True, eq=False)
class Horizon:
    """The contract's horizon; `decades_per_step` is None where a gradient is exactly zero, with the reason."""

    level: float
    steps: int | None
    direction: str | None
    decay_steps: int | None
    growth_steps: int | None
    censored: bool
    extrapolated_steps: int | None
    levels: list[LevelCrossing]
    decades_per_step: float | None
    decades_per_step_reason: str | None


def level_nats(level: float) -> float:
    """The change of the natural logarithm that counts as passing the level."""
    return -float(np.log(level)) + _SLACK_DECADES * LN10


def median_change(log_norms: Array) -> Array:
    """m_k in nats, (L,), from ln ||g_k|| by lag and sequence, (L, B), lag 0 first.

    Sequences whose gradient starts at exactly zero say nothing about transport and are left out; with none left
    every entry is NaN.
    """
    alive = np.isfinite(log_norms[0])
    if not alive.any():
        return np.full(len(log_norms), np.nan)
    return median(log_norms[:, alive] - log_norms[0, alive])


def median_log_norms(log_norms: Array) -> Array:
    """The median itself, (L,), of ln ||g_k|| (L, B), over the same sequences; -inf where all start at exactly zero."""
    alive = np.isfinite(log_norms[0])
    return median(log_norms[:, alive]) if alive.any() else np.full(len(log_norms), -np.inf)


def crossing_of(changes: Array, nats: float) -> Crossing:
    """Find both crossings in a series of m_k over all lags."""
    return Crossing(_first(changes < -nats), _first(changes > nats))


def _first(reached: Array) -> int | None:
    index = int(np.argmax(reached)) if len(reached) else 0
    return index if len(reached) and reached[index] else None


def assemble(level: float, depth: int, crossings: dict[float, Crossing], change_at_end: float) -> Horizon:
    """Put the horizon together; `change_at_end` is m_K in nats at the horizon, or at the depth."""
    main = crossings[level]
    steps = main.first
    rate, reason = _rate(steps, depth, change_at_end)
    extrapolated = None
    if steps is None and rate is not None and abs(change_at_end) > _SLACK_DECADES * LN10:
        extrapolated = _next_step(level_nats(level) / LN10 / abs(rate))
    return Horizon(
        level=level,
        steps=steps,
        direction=None if steps is None else ("decay" if steps == main.decay else "growth"),
        decay_steps=main.decay,
        growth_steps=main.growth,
        censored=steps is None,
        extrapolated_steps=extrapolated,
        levels=[LevelCrossing(other, crossings[other].first) for other in sorted(crossings, reverse=True)],
        decades_per_step=rate,
        decades_per_step_reason=reason,
    )


def undefined(level: float) -> Horizon:
    """The horizon of a gradient that is exactly zero before it starts."""
    levels = [LevelCrossing(other, None) for other in sorted({*LEVELS, level}, reverse=True)]
    reason = "the gradient is exactly zero at lag 0, so it cannot be followed back"
    return Horizon(level, None, None, None, None, False, None, levels, None, reason)


def _rate(steps: int | None, depth: int, change: float) -> tuple[float | None, str | None]:
    span = depth if steps is None else steps
    if span == 0:
        return None, "no step was completed"
    if np.isneginf(change):
        return None, "the gradient is exactly zero at the horizon, which no rate describes"
    return change / LN10 / span, None


def _next_step(steps: float) -> int | None:
    """The first whole step beyond a number of steps, where it fits a 64-bit integer."""
    return int(np.floor(steps)) + 1 if steps < 2**62 else None
