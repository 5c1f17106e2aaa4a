"""Searches for a remedy's number with few runs: each evaluation is a whole forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ._remedy import Trial

_MOST_RUNS = 10
_CLOSE = 1.05
"""A number within 5 % of the mildest that works is as good as it."""
_BALANCED_DECADES = 0.05
"""Growth over the whole depth that counts as none."""

_FACTORS_FROM_NOTHING = (1.25, 2.0, 4.0)


def mildest(trial: Callable[[float], Trial], weak: float, strong: float) -> tuple[Trial, int]:
    """The change nearest to `weak` that carries the gradient all the way back, by bisection of its logarithm.

    `weak` (positive, like `strong`) is as good as no change, and not run. Where not even `strong` gets there, the one
    of a few changes in between that gets farthest. What is returned was run: the order of the horizons along the way
    decides only how near it is to the mildest.
    """
    extreme = trial(strong)
    if not np.isinf(extreme.effect.reach):
        middle = [trial(float(value)) for value in np.geomspace(weak, strong, 6)[1:-1]]
        return farthest([extreme, *middle]), 1 + len(middle)
    found, used, low, high = extreme, 1, np.log(weak), np.log(strong)
    while used < _MOST_RUNS and abs(high - low) > np.log(_CLOSE):
        attempt = trial(float(np.exp((low + high) / 2)))
        used += 1
        if np.isinf(attempt.effect.reach):
            found, high = attempt, (low + high) / 2
        else:
            low = (low + high) / 2
    return found, used


def balanced(trial: Callable[[float], Trial], growth: float, depth: int) -> tuple[Trial, int]:
    """The factor at which the gradient neither grows nor shrinks over the depth: a root of its growth.

    `growth` is that at factor one, in decades. A linear network needs a factor of 10^(-growth/depth), which is tried
    first; from a bracket on, false position with halved weights (Illinois). Where saturation keeps the growth on
    one side of zero, or the gradient ends at exactly zero, the factor tried that carries it farthest.
    """
    if not np.isfinite(growth):
        tried = [trial(factor) for factor in _FACTORS_FROM_NOTHING]
        return farthest(tried), len(tried)
    tried = []
    ends: dict[bool, tuple[float, float]] = {growth > 0: (0.0, growth)}
    x, step = -growth / depth, 1.0
    while len(tried) < _MOST_RUNS:
        tried.append(trial(float(10.0**x)))
        change = tried[-1].effect.log10_growth
        if not np.isfinite(change) or abs(change) <= _BALANCED_DECADES:
            break
        ends = _halved(ends, change > 0)
        ends[change > 0] = (x, change)
        if len(ends) == 2:
            x = _false_position(*ends.values())
        elif len(tried) > 1 and abs(change) >= abs(tried[-2].effect.log10_growth):
            break  # growth turned round without reaching zero
        else:
            step *= 2.0
            x -= step * change / depth
    return farthest(tried), len(tried)


def _halved(ends: dict[bool, tuple[float, float]], side: bool) -> dict[bool, tuple[float, float]]:
    """Where the same side is replaced again, the other counts half: false position would stand still there."""
    if len(ends) < 2:
        return ends
    x, value = ends[not side]
    return {side: ends[side], (not side): (x, value / 2)}


def _false_position(left: tuple[float, float], right: tuple[float, float]) -> float:
    return (left[0] * right[1] - right[0] * left[1]) / (right[1] - left[1])


def farthest(trials: Sequence[Trial]) -> Trial:
    """The trial with the longest horizon; of several that lose nothing, the one with the least change."""
    return max(trials, key=lambda t: (t.effect.reach, -_size(t.effect.log10_growth)))


def _size(growth: float) -> float:
    return abs(growth) if np.isfinite(growth) else np.inf
