"""What gated cells share: a gate's value, what it leaves open, and its slope, all exact however saturated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..activations import Activation, Sigmoid, Tanh

# Below it e^-a leaves float64; expit and the slope of `Sigmoid` go on to their exact zeros.
_LOWEST = -708.0
# (1 - e) / (1 + e) has lost 4 of its 53 bits here and more of them below.
_CANCELLING = 2.0**-5


@dataclass(frozen=True, eq=False)
class Evaluated:
    """phi(a), 1 - phi(a) and phi'(a) of the same pre-activations; `rest` keeps its digits where phi is next to one."""

    value: Array
    rest: Array
    slope: Array


def evaluated(activation: Activation, a: Array) -> Evaluated:
    """Evaluate an activation; the defaults of gated cells take one exponential an entry."""
    return _FAST.get(type(activation), _any)(activation, a)


def _any(activation: Activation, a: Array) -> Evaluated:
    value = activation.value(a)
    return Evaluated(value, 1.0 - value, activation.slope(a))


def _sigmoid(activation: Activation, a: Array) -> Evaluated:
    """With t = e^-a: 1 / (1 + t), t / (1 + t), and their product."""
    if np.min(a, initial=0.0) < _LOWEST:
        return Evaluated(activation.value(a), activation.value(-a), activation.slope(a))
    rest = np.negative(a)
    np.exp(rest, out=rest)
    value = rest + 1.0
    np.divide(1.0, value, out=value)
    rest *= value
    return Evaluated(value, rest, value * rest)


def _tanh(activation: Activation, a: Array) -> Evaluated:
    """With e = e^-2|a|: (1 - e) / (1 + e) with the sign of a, and 4 e / (1 + e)^2; small entries by tanh itself."""
    size = np.abs(a)
    slope = size * -2.0
    np.exp(slope, out=slope)
    divisor = slope + 1.0
    np.divide(1.0, divisor, out=divisor)
    value = 1.0 - slope
    value *= divisor
    np.copysign(value, a, out=value)
    small = size < _CANCELLING
    if small.any():
        value[small] = np.tanh(a[small])
    slope *= 4.0
    slope *= divisor
    slope *= divisor
    return Evaluated(value, 1.0 - value, slope)


_FAST: Mapping[type, Callable[[Activation, Array], Evaluated]] = {Sigmoid: _sigmoid, Tanh: _tanh}
