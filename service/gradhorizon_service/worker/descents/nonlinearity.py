"""Activations in the precision of a descent, and of dual numbers carried by complex ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..activations import Activation, Sigmoid, Tanh
from ..slopes import slopes_along


@dataclass(frozen=True)
class Nonlinearity:
    """phi and phi' of arrays of any float type, and of a + i e b, which stands for a with the derivative b.

    For e so small that e^2 vanishes, phi(a + i e b) = phi(a) + i e b phi'(a): exact derivatives without subtraction,
    the complex-step method (Squire and Trapp 1998). phi'' takes the place of phi' for slopes.
    """

    activation: Activation

    def value(self, a: Array) -> Array:
        """phi(a)."""
        if np.iscomplexobj(a):
            return _dual(a, self.activation.value(a.real), self.activation.slope(a.real))
        if a.dtype == np.float32 and isinstance(self.activation, Sigmoid):
            return _single_sigmoid(a)
        return self.activation.value(a).astype(a.dtype, copy=False)

    def slope(self, a: Array) -> Array:
        """phi'(a)."""
        if np.iscomplexobj(a):
            return _dual(a, self.activation.slope(a.real), self.activation.bend(a.real))
        return self.activation.slope(a).astype(a.dtype, copy=False)

    def slopes_along(self, preactivations: Array, values: Array) -> Array:
        """phi' of (T, ...) pre-activations whose values are known; it may be written over the pre-activations."""
        if np.iscomplexobj(preactivations):
            return self.slope(preactivations)
        return slopes_along(self.activation, preactivations, values)


TANH = Nonlinearity(Tanh())
SIGMOID = Nonlinearity(Sigmoid())


def _single_sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a) in float32, as PyTorch computes it, at half the cost of SciPy's, which never underflows early."""
    result = np.negative(a)
    np.exp(result, out=result)
    result += np.float32(1.0)
    return np.reciprocal(result, out=result)


def _dual(a: Array, value: Array, slope: Array) -> Array:
    result = np.empty_like(a)
    result.real = value
    np.multiply(a.imag, slope, out=result.imag)
    return result
