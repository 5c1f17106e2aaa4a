"""Where the length and the correlation of signals settle in a wide random network.

Lengths follow q' = weight_variance V(q) + bias_variance, V(q) = E[phi(sqrt(q) z)^2] (Poole et al. 2016, equation 3),
the correlation of two signals of length q* follows C(c) = (weight_variance E[phi(a) phi(b)] + bias_variance) / q*
(equation 5). Iterating either converges at a rate that tends to 1 next to a transition; roots are bracketed instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq

from .moments import Moments

CRITICAL = 1e-12
"""Distance from 1 up to which a rate counts as 1: roundings of the integrals behind it."""
START = 1.0
"""The length whose fate is told, where there are several: that of pre-activations of unit variance."""
_FACTOR = 4.0
_VANISHED = 1e-34  # no length between this and zero is a fixed point for weight variances a rounding apart
_ASYMPTOTIC = 1e12  # lengths, in squares of phi's bend, from which on V(q) - tail q only creeps
_LARGEST = 1e300
_RELATIVE = 1e-15
_CLOSEST = 1e-30  # correlations this close to 1 have no numbers of their own


@dataclass(frozen=True)
class Length:
    """The length q* that signals tend to: zero, a positive number, or None with the reason."""

    q: float | None
    reason: str | None = None


def fixed_length(moments: Moments, weight_variance: float, bias_variance: float) -> Length:
    """The fixed point of the length map that iteration from q = 1 reaches.

    V grows with q, so iteration never passes a fixed point: it is the first one in the direction of the first step.
    """
    if moments.activation.homogeneous:
        return _homogeneous(moments, weight_variance, bias_variance)

    def gain(q: float) -> float:
        """Q' - q, with the parts that cancel for large q taken together."""
        linear = (weight_variance * moments.tail - 1.0) * q
        return linear + weight_variance * moments.remainder(q) + bias_variance

    first = gain(START)
    if first == 0.0:
        return Length(START)
    if first > 0.0:
        return _above(gain, weight_variance * moments.tail)
    floor = weight_variance * moments.value_at_zero**2 + bias_variance
    return _below(gain, floor)


def _homogeneous(moments: Moments, weight_variance: float, bias_variance: float) -> Length:
    """q' = g q + bias_variance."""
    growth = weight_variance * moments.square_slope_at_zero
    neutral = abs(growth - 1.0) <= CRITICAL
    if bias_variance > 0.0 if neutral else growth > 1.0:
        return Length(None, "lengths grow without bound: the activation never saturates")
    if neutral:
        return Length(None, "every length is a fixed point: the network keeps the one it is given")
    return Length(bias_variance / (1.0 - growth))


def _above(gain: Callable[[float], float], growth: float) -> Length:
    low, high = START, _FACTOR * START
    while (found := gain(high)) > 0.0:
        if high > _LARGEST or (high > _ASYMPTOTIC and growth >= 1.0):
            return Length(None, "lengths grow without bound: the activation does not saturate fast enough")
        low, high = high, max(_FACTOR * high, min(high + found, _LARGEST))
    return Length(_root(gain, low, high))


def _below(gain: Callable[[float], float], floor: float) -> Length:
    low, high = START / _FACTOR, START
    while low > floor and gain(low) <= 0.0:
        if low < _VANISHED and floor == 0.0:
            return Length(0.0)
        low, high = low / _FACTOR, low
    if low <= floor:
        low = floor
        if gain(low) <= 0.0:
            return Length(low)
    return Length(_root(gain, low, high))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-300, rtol=_RELATIVE))


def fixed_correlation(moments: Moments, q: float, weight_variance: float, bias_variance: float) -> float:
    """1 - c*, the distance from 1 of the stable fixed point below it, in the chaotic phase.

    C is convex, with C(1) = 1 and a slope above 1 there, so that (1 - C(1 - x)) / x falls through 1 exactly once for
    x in (0, 1]. Raises Undecided.
    """
    if moments.odd and bias_variance == 0.0:
        return 1.0

    def excess(log_distance: float) -> float:
        distance = math.exp(log_distance)
        return weight_variance / q * moments.correlation_loss(q, distance) / distance - 1.0

    high, low = 0.0, -1.0
    if excess(high) >= 0.0:
        return 1.0  # c* is below a rounding
    while excess(low) <= 0.0:
        if low < math.log(_CLOSEST):
            return 0.0
        high, low = low, 2.0 * low
    return math.exp(float(brentq(excess, low, high, xtol=1e-15, rtol=_RELATIVE)))
