"""Activations: PyTorch's definitions, with slopes exact to rounding however deep in saturation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy.special import erf, erfcx, expit, log_expit, ndtr

from ._types import Array

LN_2 = math.log(2.0)


class Activation(Protocol):
    """An elementwise nonlinearity phi of the pre-activation a.

    Every method takes an array of any shape and returns a fresh one of that shape. Slopes come from the
    pre-activation, never from the value: 1 - tanh(a)^2 is exactly zero from a = 19 on, where the true slope
    is 1e-16 and still counts. Relative errors stay at a few roundings except next to a zero of the slope
    itself (silu, gelu, sin), where they are a few roundings of `largest_slope`. At kinks the slope is the one
    PyTorch's autograd takes.
    """

    @property
    def largest_slope(self) -> float:
        """The supremum gamma of abs(phi'): the norm of a step's Jacobian is at most gamma times that of W."""
        ...

    @property
    def homogeneous(self) -> bool:
        """Whether phi(c a) = c phi(a) for every c > 0, so that the scale of a state passes through."""
        ...

    def value(self, a: Array) -> Array:
        """phi(a)."""
        ...

    def slope(self, a: Array) -> Array:
        """phi'(a)."""
        ...

    def log_slope(self, a: Array) -> Array:
        """ln abs(phi'(a)), right where phi' itself underflows; -inf where the slope is exactly zero."""
        ...

    def bend(self, a: Array) -> Array:
        """phi''(a), to rounding of the slope's own size; zero at kinks."""
        ...


@dataclass(frozen=True)
class Identity:
    """phi(a) = a."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = True

    def value(self, a: Array) -> Array:
        return a.copy()

    def slope(self, a: Array) -> Array:
        return np.ones_like(a)

    def log_slope(self, a: Array) -> Array:
        return np.zeros_like(a)

    def bend(self, a: Array) -> Array:
        return np.zeros_like(a)


@dataclass(frozen=True)
class Tanh:
    """phi(a) = tanh(a), with the slope sech(a)^2 = (2 e^-|a| / (1 + e^-2|a|))^2."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = False

    def value(self, a: Array) -> Array:
        return np.tanh(a)

    def slope(self, a: Array) -> Array:
        decay = np.negative(np.abs(a))  # in place from here on: twice as fast as with a temporary a line
        np.exp(decay, out=decay)
        divisor = np.multiply(decay, decay)
        divisor += 1.0
        decay *= 2.0
        decay /= divisor
        decay *= decay
        return decay

    def log_slope(self, a: Array) -> Array:
        size = np.minimum(np.abs(a), 8e307)  # twice that is still a float64
        return 2.0 * (LN_2 - size - np.log1p(np.exp(-2.0 * size)))

    def bend(self, a: Array) -> Array:
        return np.asarray(-2.0 * np.tanh(a) * self.slope(a))


@dataclass(frozen=True)
class Sigmoid:
    """phi(a) = 1 / (1 + e^-a), with the slope e^-|a| / (1 + e^-|a|)^2."""

    largest_slope: ClassVar[float] = 0.25
    homogeneous: ClassVar[bool] = False

    def value(self, a: Array) -> Array:
        return expit(a)

    def slope(self, a: Array) -> Array:
        decay = np.exp(-np.abs(a))
        return decay / np.square(1.0 + decay)

    def log_slope(self, a: Array) -> Array:
        size = np.abs(a)
        return -size - 2.0 * np.log1p(np.exp(-size))

    def bend(self, a: Array) -> Array:
        return np.asarray(-np.tanh(0.5 * a) * self.slope(a))


@dataclass(frozen=True)
class Relu:
    """phi(a) = max(a, 0), with slope 0 at 0."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = True

    def value(self, a: Array) -> Array:
        return np.maximum(a, 0.0)

    def slope(self, a: Array) -> Array:
        return (a > 0.0).astype(np.float64)

    def log_slope(self, a: Array) -> Array:
        return np.where(a > 0.0, 0.0, -np.inf)

    def bend(self, a: Array) -> Array:
        return np.zeros_like(a)


@dataclass(frozen=True)
class LeakyRelu:
    """phi(a) = a above 0, negative_slope a below, with slope negative_slope at 0."""

    negative_slope: float = 0.01
    homogeneous: ClassVar[bool] = True

    @property
    def largest_slope(self) -> float:
        return max(1.0, abs(self.negative_slope))

    def value(self, a: Array) -> Array:
        return np.where(a > 0.0, a, self.negative_slope * a)

    def slope(self, a: Array) -> Array:
        return np.where(a > 0.0, 1.0, self.negative_slope)

    def log_slope(self, a: Array) -> Array:
        return np.where(a > 0.0, 0.0, _scalar_log(abs(self.negative_slope)))

    def bend(self, a: Array) -> Array:
        return np.zeros_like(a)


@dataclass(frozen=True)
class HardTanh:
    """phi(a) = a clipped to [-1, 1], with slope 0 at both ends."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = False

    def value(self, a: Array) -> Array:
        return np.clip(a, -1.0, 1.0)

    def slope(self, a: Array) -> Array:
        return (np.abs(a) < 1.0).astype(np.float64)

    def log_slope(self, a: Array) -> Array:
        return np.where(np.abs(a) < 1.0, 0.0, -np.inf)

    def bend(self, a: Array) -> Array:
        return np.zeros_like(a)


@dataclass(frozen=True)
class Softplus:
    """phi(a) = ln(1 + e^(beta a)) / beta, and a itself where beta a > 20 (PyTorch's threshold)."""

    beta: float = 1.0
    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = False
    threshold: ClassVar[float] = 20.0

    def value(self, a: Array) -> Array:
        x = self.beta * a
        soft = np.log1p(np.exp(np.minimum(x, self.threshold))) / self.beta
        return np.where(x > self.threshold, a, soft)

    def slope(self, a: Array) -> Array:
        x = self.beta * a
        return np.where(x > self.threshold, 1.0, expit(x))

    def log_slope(self, a: Array) -> Array:
        x = self.beta * a
        return np.where(x > self.threshold, 0.0, log_expit(x))

    def bend(self, a: Array) -> Array:
        x = self.beta * a
        return np.where(x > self.threshold, 0.0, self.beta * expit(x) * expit(-x))


@dataclass(frozen=True)
class Softsign:
    """phi(a) = a / (1 + |a|)."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = False

    def value(self, a: Array) -> Array:
        return a / (1.0 + np.abs(a))

    def slope(self, a: Array) -> Array:
        return np.square(1.0 / (1.0 + np.abs(a)))

    def log_slope(self, a: Array) -> Array:
        return -2.0 * np.log1p(np.abs(a))

    def bend(self, a: Array) -> Array:
        return np.asarray(-2.0 * np.sign(a) * (1.0 / (1.0 + np.abs(a))) ** 3)


@dataclass(frozen=True)
class Elu:
    """phi(a) = a above 0, alpha (e^a - 1) below, with slope alpha at 0."""

    alpha: float = 1.0
    homogeneous: ClassVar[bool] = False

    @property
    def largest_slope(self) -> float:
        return max(1.0, abs(self.alpha))

    def value(self, a: Array) -> Array:
        return np.where(a > 0.0, a, self.alpha * np.expm1(np.minimum(a, 0.0)))

    def slope(self, a: Array) -> Array:
        return np.where(a > 0.0, 1.0, self.alpha * np.exp(np.minimum(a, 0.0)))

    def log_slope(self, a: Array) -> Array:
        return np.where(a > 0.0, 0.0, a + _scalar_log(abs(self.alpha)))

    def bend(self, a: Array) -> Array:
        return np.where(a > 0.0, 0.0, self.alpha * np.exp(np.minimum(a, 0.0)))


@dataclass(frozen=True)
class Selu:
    """phi(a) = scale elu(a), with the constants of Klambauer et al. (2017); slope scale alpha at 0."""

    homogeneous: ClassVar[bool] = False
    alpha: ClassVar[float] = 1.6732632423543772848170429916717
    scale: ClassVar[float] = 1.0507009873554804934193349852946
    largest_slope: ClassVar[float] = scale * alpha

    def value(self, a: Array) -> Array:
        return self.scale * np.where(a > 0.0, a, self.alpha * np.expm1(np.minimum(a, 0.0)))

    def slope(self, a: Array) -> Array:
        return self.scale * np.where(a > 0.0, 1.0, self.alpha * np.exp(np.minimum(a, 0.0)))

    def log_slope(self, a: Array) -> Array:
        return math.log(self.scale) + np.where(a > 0.0, 0.0, a + math.log(self.alpha))

    def bend(self, a: Array) -> Array:
        return self.scale * np.where(a > 0.0, 0.0, self.alpha * np.exp(np.minimum(a, 0.0)))


@dataclass(frozen=True)
class Silu:
    """phi(a) = a sigma(a), with the slope sigma(a) (1 + a sigma(-a)).

    The slope is largest at a = 2 x with x tanh x = 1, where it is (1 + x) / 2.
    """

    homogeneous: ClassVar[bool] = False
    largest_slope: ClassVar[float] = (1.0 + 1.1996786402577338339) / 2.0

    def value(self, a: Array) -> Array:
        return a * expit(a)

    def slope(self, a: Array) -> Array:
        return expit(a) * (1.0 + a * expit(-a))

    def log_slope(self, a: Array) -> Array:
        return log_expit(a) + _log_abs(1.0 + a * expit(-a))

    def bend(self, a: Array) -> Array:
        return np.asarray(expit(a) * expit(-a) * (2.0 - a * np.tanh(0.5 * a)))


@dataclass(frozen=True)
class Gelu:
    """phi(a) = a Phi(a), Phi the normal distribution (PyTorch's default, not its tanh approximation).

    The slope Phi(a) + a phi(a) is e^(-a^2 / 2) m(a) below 0, with m(a) = erfcx(-a / sqrt(2)) / 2 + a / sqrt(2
    pi) free of cancellation in the tail, and one minus its mirror image above 0. It is largest at a =
    sqrt(2).
    """

    homogeneous: ClassVar[bool] = False
    largest_slope: ClassVar[float] = (1.0 + math.erf(1.0)) / 2.0 + math.exp(-1.0) / math.sqrt(math.pi)

    def value(self, a: Array) -> Array:
        return a * ndtr(a)

    def slope(self, a: Array) -> Array:
        size = np.abs(a)
        tail = _gaussian(size, 0.5) * self._mantissa(size)
        return np.where(a < 0.0, tail, 1.0 - tail)

    def log_slope(self, a: Array) -> Array:
        size = np.abs(a)
        mantissa = self._mantissa(size)
        tail = _log_abs(mantissa) - np.square(np.minimum(size, 1e154)) / 2.0  # its square is still a float64
        return np.where(a < 0.0, tail, np.log1p(-_gaussian(size, 0.5) * mantissa))

    def bend(self, a: Array) -> Array:
        size = np.minimum(np.abs(a), 40.0)  # the result is zero there, and 1e300 has no square
        return _gaussian(size, 0.5) * (2.0 - size * size) / math.sqrt(2.0 * math.pi)

    @staticmethod
    def _mantissa(size: Array) -> Array:
        """m(-size), for size >= 0."""
        return 0.5 * erfcx(size * math.sqrt(0.5)) - size / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Erf:
    """phi(a) = erf(a), with the slope 2 / sqrt(pi) e^(-a^2)."""

    homogeneous: ClassVar[bool] = False
    largest_slope: ClassVar[float] = 2.0 / math.sqrt(math.pi)

    def value(self, a: Array) -> Array:
        return erf(a)

    def slope(self, a: Array) -> Array:
        return self.largest_slope * _gaussian(np.abs(a), 1.0)

    def log_slope(self, a: Array) -> Array:
        size = np.minimum(np.abs(a), 1e154)  # its square is still a float64
        return math.log(self.largest_slope) - size * size

    def bend(self, a: Array) -> Array:
        return -2.0 * np.clip(a, -40.0, 40.0) * self.slope(a)


@dataclass(frozen=True)
class Sin:
    """phi(a) = sin(a)."""

    largest_slope: ClassVar[float] = 1.0
    homogeneous: ClassVar[bool] = False

    def value(self, a: Array) -> Array:
        return np.sin(a)

    def slope(self, a: Array) -> Array:
        return np.cos(a)

    def log_slope(self, a: Array) -> Array:
        return _log_abs(np.cos(a))

    def bend(self, a: Array) -> Array:
        return -np.sin(a)


ACTIVATIONS: Mapping[str, Callable[..., Activation]] = {
    "identity": Identity,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "hard_tanh": HardTanh,
    "softplus": Softplus,
    "softsign": Softsign,
    "elu": Elu,
    "selu": Selu,
    "silu": Silu,
    "gelu": Gelu,
    "erf": Erf,
    "sin": Sin,
}


def _gaussian(size: Array, rate: float) -> Array:
    """e^(-rate size^2) for size >= 0 and rate 1 or 1/2, to a few roundings.

    Squaring first would cost 750 roundings before the result underflows. A head of 22 bits has an exact
    square, and what is left, (size - head)(size + head), is small.
    """
    size = np.minimum(size, 40.0)  # the result is zero there, and 1e300 has no square
    head = np.round(size * 65536.0) / 65536.0
    return np.exp(-rate * head * head) * np.exp(rate * (head - size) * (head + size))


def _log_abs(x: Array) -> Array:
    return np.log(np.abs(x), where=x != 0.0, out=np.full_like(x, -np.inf))


def _scalar_log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf
