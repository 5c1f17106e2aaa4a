"""Searches for a remedy's number with few runs: each evaluation is a whole forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ..._types import Array
from ._remedy import Trial

_MOST_RUNS = 10
_LOOKS = 7
_HALVINGS = 9
_CLOSE = 0.05
"""A number within 5 % of the mildest that works is as good as it."""
_BALANCED_DECADES = 0.05
"""Growth over the whole depth that counts as none."""

_OUTWARD = 5
"""Factors looked at on one side of the root, each this many times as far out as the one before."""
_LONGER = 1.6
_FACTORS_FROM_NOTHING = (1.25, 2.0, 4.0)


Spacing = Callable[[float, float, int], Array]
"""Numbers from one end to the other, both held: `np.geomspace` or `np.linspace`."""


def mildest(
    trial: Callable[[float], Trial], weak: float, strong: float, spacing: Spacing = np.geomspace
) -> tuple[Trial, int]:
    """The change nearest to `weak` that carries the gradient all the way back: bisection after a look around.

    `weak` is as good as no change, and not run. Where `strong` gets there, the interval between them is halved; else
    the first of a few changes in between that does ends it. Where none does, the one that gets farthest is returned.
    What is returned was run: the order of the horizons along the way decides only how near it is to the mildest.
    """
    tried = {strong: trial(strong)}
    if not _arrives(tried[strong]):
        for value in spacing(weak, strong, _LOOKS + 2)[1:-1].tolist():
            tried[value] = trial(value)
    enough = [value for value in tried if _arrives(tried[value])]
    if not enough:
        return farthest([*tried.values()]), len(tried)
    high = min(enough, key=lambda value: abs(value - weak))
    low = min([weak, *tried], key=lambda value: (not _between(value, weak, high), abs(value - high)))
    used = len(tried)
    for _ in range(_HALVINGS):
        if abs(high - low) <= _CLOSE * max(abs(high), abs(low)):
            break
        middle = float(spacing(low, high, 3)[1])
        attempt = trial(middle)
        used += 1
        if _arrives(attempt):
            tried[middle], high = attempt, middle
        else:
            low = middle
    return tried[high], used


def _arrives(trial: Trial) -> bool:
    return bool(np.isinf(trial.effect.reach))


def _between(value: float, weak: float, high: float) -> bool:
    return min(weak, high) <= value <= max(weak, high) and value != high


def balanced(trial: Callable[[float], Trial], growth: float, depth: int) -> tuple[Trial, int]:
    """The factor at which the gradient neither grows nor shrinks over the depth: a root of its growth.

    `growth` is that at factor one, in decades. A linear network needs a factor of 10^(-growth/depth), which is tried
    first. Between factors on both sides of the root false position goes on, away from the ends by a tenth of the
    interval. On one side only, ever longer steps, for a network that saturates need not grow with its weights; then
    steps around the best of them, as also where a factor leaves nothing of the gradient: no step goes beyond. Where it
    ends at exactly zero as it is, a few factors are tried. The one that carries it farthest is returned.
    """
    if not np.isfinite(growth):
        tried = [trial(factor) for factor in _FACTORS_FROM_NOTHING]
        return farthest(tried), len(tried)
    if abs(growth) <= _BALANCED_DECADES:
        return trial(1.0), 1
    tried = []
    points = {0.0: growth}
    x = -growth / depth
    while len(tried) < _MOST_RUNS and x not in points:
        tried.append(trial(float(10.0**x)))
        points[x] = tried[-1].effect.log10_growth
        if abs(points[x]) <= _BALANCED_DECADES:
            break
        x = _next(points)
    return farthest(tried), len(tried)


def _next(points: dict[float, float]) -> float:
    """Where to look next, from decimal logarithms of factors, zero the first, and the growth at each."""
    at, known = sorted(points), {x: y for x, y in points.items() if np.isfinite(y)}
    brackets = [(low, high) for low, high in pairwise(sorted(known)) if known[low] * known[high] < 0.0]
    if brackets:
        low, high = min(brackets, key=lambda ends: ends[1] - ends[0])
        margin = 0.1 * (high - low)
        root = (low * points[high] - high * points[low]) / (points[high] - points[low])
        return float(np.clip(root, low + margin, high - margin))
    if len(at) <= _OUTWARD and len(known) == len(at):
        return _LONGER * (at[0] if points[0.0] > 0.0 else at[-1])
    best = min(known, key=lambda x: abs(known[x]))
    place = at.index(best)
    neighbours = [at[i] for i in (place - 1, place + 1) if 0 <= i < len(at)]
    return (best + max(neighbours, key=lambda x: abs(x - best))) / 2.0


def farthest(trials: Sequence[Trial]) -> Trial:
    """The trial with the longest horizon; of several that lose nothing, the one with the least change."""
    return max(trials, key=lambda t: (t.effect.reach, -_size(t.effect.log10_growth)))


def _size(growth: float) -> float:
    return abs(growth) if np.isfinite(growth) else np.inf
