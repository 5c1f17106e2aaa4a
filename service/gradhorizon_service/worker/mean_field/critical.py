"""Where chi_1 = 1: the weight variance between order and chaos, at given bias variances, and the other way round.

Both variances follow from the length q at which a network is critical: weight_variance = 1 / S(q) makes chi_1 one,
and bias_variance = q - V(q) / S(q) makes q the fixed point. So a critical line is one scan over q.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from .._types import Array
from ..activations import Activation
from .fixed_points import fixed_length
from .moments import Moments, moments_of
from .theory import LARGEST_VARIANCE, square_slope_at

_PER_DECADE = 4
_SMALLEST = 1e-12
_LARGEST = 1e24
_SAME = 1e-7
_CONFIRMED = 1e-6


@dataclass(frozen=True)
class CriticalVariance:
    """The smallest variance with chi_1 = 1, None with the reason; `others` where there are more."""

    value: float | None
    reason: str | None = None
    others: tuple[float, ...] = ()


def critical_weight_variances(
    activation: Activation, bias_variances: Sequence[float]
) -> list[CriticalVariance]:
    """The critical weight variance at each of the bias variances."""
    moments = moments_of(activation)
    if activation.homogeneous:
        return [CriticalVariance(1.0 / moments.square_slope_at_zero)] * len(bias_variances)
    low = min((v for v in bias_variances if v > 0.0), default=_SMALLEST)
    table = _Table.over(moments, min(low / 2.0, _SMALLEST), max(_LARGEST, 1e8 * max(bias_variances)))
    return [_at_bias_variance(table, bias_variance) for bias_variance in bias_variances]


def critical_bias_variances(
    activation: Activation, weight_variances: Sequence[float]
) -> list[CriticalVariance]:
    """The critical bias variance at each of the weight variances."""
    moments = moments_of(activation)
    if activation.homogeneous:
        reason = "chi_1 does not depend on the bias variance"
        return [CriticalVariance(None, reason)] * len(weight_variances)
    table = _Table.over(moments, _SMALLEST, max(_LARGEST, 1e4 * max(weight_variances) ** 2))
    return [_at_weight_variance(table, weight_variance) for weight_variance in weight_variances]


@dataclass(frozen=True, eq=False)
class _Table:
    """S(q) and the deficit q S(q) - V(q) over a grid of lengths."""

    moments: Moments
    q: Array
    square_slope: Array
    deficit: Array

    @classmethod
    def over(cls, moments: Moments, low: float, high: float) -> _Table:
        decades = math.log10(high) - math.log10(low)
        q = np.geomspace(low, high, 1 + math.ceil(_PER_DECADE * decades))
        return cls(moments, q, moments.square_slope(q), moments.deficit(q))

    def roots(self, values: Array, function: Callable[[float], float], start: float = 0.0) -> list[float]:
        """Every root that changes the sign between neighbours of the grid, from `start` on."""
        chosen = (self.q >= start) & (values != 0.0)
        q, sign = self.q[chosen], np.sign(values[chosen])
        changes = np.flatnonzero(sign[1:] != sign[:-1])
        return [float(brentq(function, q[i], q[i + 1], xtol=1e-300, rtol=1e-15)) for i in changes]


def _at_bias_variance(table: _Table, bias_variance: float) -> CriticalVariance:
    moments = table.moments

    def balance(q: float) -> float:
        at = np.array([q])
        return float(moments.deficit(at)[0] - bias_variance * moments.square_slope(at)[0])

    values = table.deficit - bias_variance * table.square_slope
    lengths = table.roots(values, balance, bias_variance / 2.0)
    candidates = [1.0 / float(moments.square_slope(np.array([q]))[0]) for q in lengths]
    if bias_variance == 0.0 and moments.value_at_zero == 0.0:
        candidates.append(1.0 / moments.square_slope_at_zero)
    if moments.tail > 0.0:
        candidates.append(1.0 / moments.tail)
    confirmed = [v for v in candidates if _is_critical(moments, v, bias_variance)]
    reason = (
        "chi_1 passes 1 by a jump, where signals begin to end at another length or at none, and is 1 nowhere"
    )
    return _chosen(confirmed, reason)


def _at_weight_variance(table: _Table, weight_variance: float) -> CriticalVariance:
    moments = table.moments

    def balance(q: float) -> float:
        return weight_variance * float(moments.square_slope(np.array([q]))[0]) - 1.0

    lengths = table.roots(weight_variance * table.square_slope - 1.0, balance)
    candidates = [weight_variance * float(moments.deficit(np.array([q]))[0]) for q in lengths]
    if moments.value_at_zero == 0.0 and abs(weight_variance * moments.square_slope_at_zero - 1.0) < 1e-12:
        candidates.append(0.0)
    confirmed = [
        v for v in candidates if 0.0 <= v <= LARGEST_VARIANCE and _is_critical(moments, weight_variance, v)
    ]
    return _chosen(confirmed, "no bias variance makes chi_1 = 1 at this weight variance")


def _is_critical(moments: Moments, weight_variance: float, bias_variance: float) -> bool:
    """Whether signals of unit length really end where the candidate was found."""
    length = fixed_length(moments, weight_variance, bias_variance)
    return abs(weight_variance * square_slope_at(moments, length) - 1.0) < _CONFIRMED


def _chosen(variances: list[float], reason: str) -> CriticalVariance:
    if not variances:
        return CriticalVariance(None, reason)
    ordered = sorted(variances)
    distinct = [ordered[0]]
    for variance in ordered[1:]:
        if variance > distinct[-1] * (1.0 + _SAME):
            distinct.append(variance)
    return CriticalVariance(distinct[0], None, tuple(distinct[1:]))
