"""What gated cells share: a gate's value, what it leaves open, and its slope, all exact however saturated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .._types import Array
from ..activations import Activation, Sigmoid, Tanh
from ..slopes import tanh_slopes

# Below it e^-a leaves float64; expit and the slope of `Sigmoid` go on to their exact zeros.
_LOWEST = -708.0


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
    """Evaluate an activation; the defaults of gated cells take one transcendental an entry."""
    return _FAST.get(type(activation), _any)(activation, a)


def _any(activation: Activation, a: Array) -> Evaluated:
    return Evaluated(activation.value(a), activation.slope(a))


def _sigmoid(activation: Activation, a: Array) -> Evaluated:
    """With t = e^-a: 1 / (1 + t), t / (1 + t), and their product."""
    if a.min(initial=0.0) < _LOWEST:
        return Evaluated(activation.value(a), activation.slope(a), activation.value(-a))
    rest = np.negative(a)
    np.exp(rest, out=rest)
    value = rest + 1.0
    np.divide(1.0, value, out=value)
    rest *= value
    return Evaluated(value, value * rest, rest)


def _tanh(activation: Activation, a: Array) -> Evaluated:
    assert isinstance(activation, Tanh)
    value = np.tanh(a)
    return Evaluated(value, tanh_slopes(activation, a, value))


_FAST: Mapping[type, Callable[[Activation, Array], Evaluated]] = {Sigmoid: _sigmoid, Tanh: _tanh}
