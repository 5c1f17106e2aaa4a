"""What gated cells share: a gate's value, what it leaves open, and its slope, all exact however saturated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .._types import Array
from ..activations import Activation, Sigmoid, Tanh

# Below it e^-a leaves float64; expit and the slope of `Sigmoid` go on to their exact zeros.
_LOWEST = -708.0
# (1 - e) / (1 + e) has lost 4 of its 53 bits here and more of them below.
_CANCELLING = 2.0**-5


class Evaluated:
    """phi(a), 1 - phi(a) and phi'(a) of the same pre-activations; `rest` keeps its digits where phi is next to one."""

    __slots__ = ("_rest", "slope", "value")

    def __init__(self, value: Array, slope: Array, rest: Array | None = None) -> None:
        self.value, self.slope, self._rest = value, slope, rest

    @property
    def rest(self) -> Array:
        """1 - phi(a)."""
        return 1.0 - self.value if self._rest is None else self._rest

    def __getitem__(self, columns: slice) -> Evaluated:
        """Some columns of each."""
        rest = None if self._rest is None else self._rest[:, columns]
        return Evaluated(self.value[:, columns], self.slope[:, columns], rest)


def evaluated(activation: Activation, a: Array) -> Evaluated:
    """Evaluate an activation; the defaults of gated cells take one exponential an entry."""
    return _FAST.get(type(activation), _any)(activation, a)


def _any(activation: Activation, a: Array) -> Evaluated:
    return Evaluated(activation.value(a), activation.slope(a))


def _sigmoid(activation: Activation, a: Array) -> Evaluated:
    """With t = e^-a: 1 / (1 + t), t / (1 + t), and their product."""
    if np.min(a, initial=0.0) < _LOWEST:
        return Evaluated(activation.value(a), activation.slope(a), activation.value(-a))
    rest = np.negative(a)
    np.exp(rest, out=rest)
    value = rest + 1.0
    np.divide(1.0, value, out=value)
    rest *= value
    return Evaluated(value, value * rest, rest)


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
    small = np.flatnonzero(size < _CANCELLING)
    if len(small):
        entries = value.reshape(-1)
        entries[small] = np.copysign(np.tanh(size.reshape(-1)[small]), entries[small])
    divisor *= divisor
    slope *= divisor
    slope *= 4.0
    return Evaluated(value, slope)


_FAST: Mapping[type, Callable[[Activation, Array], Evaluated]] = {Sigmoid: _sigmoid, Tanh: _tanh}
