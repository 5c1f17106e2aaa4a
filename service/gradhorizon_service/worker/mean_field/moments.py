"""Gaussian averages of an activation and its slope: all that the theory of wide random networks knows of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .._types import Array
from ..activations import Activation, Sin
from .correlations import Undecided, loss_by_quadrature, slope_by_quadrature
from .quadrature import gaussian_rule
from .shapes import Shape, shape_of

_TINY = 1e-160  # next to zero: where the slopes on both sides of a kink there are read


class Moments(Protocol):
    """Averages over a = sqrt(q) z, z a standard normal number; q > 0, an array of any length where it is one.

    V(q) = E[phi(a)^2]. For large q it approaches `tail` q, with tail = (phi'(-inf)^2 + phi'(inf)^2) / 2.
    """

    @property
    def activation(self) -> Activation:
        """The activation phi itself."""
        ...

    @property
    def tail(self) -> float:
        """The limit of V(q) / q for large q."""
        ...

    @property
    def odd(self) -> bool:
        """Whether phi(-a) = -phi(a)."""
        ...

    @property
    def value_at_zero(self) -> float:
        """phi(0)."""
        ...

    @property
    def square_slope_at_zero(self) -> float:
        """E[phi'(a)^2] for q -> 0: the mean over both sides of zero."""
        ...

    def remainder(self, q: float) -> float:
        """V(q) - tail q."""
        ...

    def square_slope(self, q: Array) -> Array:
        """S(q) = E[phi'(a)^2]."""
        ...

    def deficit(self, q: Array) -> Array:
        """Q S(q) - V(q), without cancellation where phi is nearly linear."""
        ...

    def log_length_slope(self, q: float) -> float:
        """ln abs(V'(q)) = ln abs(E[a phi(a) phi'(a)]) - ln q."""
        ...

    def correlation_loss(self, q: float, distance: float) -> float:
        """V(q) - E[phi(a) phi(b)], where a and b have the variance q and the correlation 1 - distance."""
        ...

    def log_correlation_slope(self, q: float, distance: float) -> float:
        """ln E[phi'(a) phi'(b)] for the same pair. Like the one above, raises Undecided."""
        ...


def moments_of(activation: Activation) -> Moments:
    """The averages of an activation: in closed form where it oscillates, else by quadrature."""
    if isinstance(activation, Sin):
        return SinMoments(activation)
    return QuadratureMoments(activation, shape_of(activation))


@dataclass(frozen=True)
class QuadratureMoments:
    """By Gauss-Legendre rules on panels that shrink towards the bends of phi, kinks being ends of panels.

    Gauss-Hermite would lose digits at every kink, and all of them where phi is a step beside sqrt(q).
    """

    activation: Activation
    shape: Shape

    @property
    def tail(self) -> float:
        return 0.5 * (self.shape.left_slope**2 + self.shape.right_slope**2)

    @property
    def odd(self) -> bool:
        return self.shape.odd

    @property
    def value_at_zero(self) -> float:
        return float(self.activation.value(np.zeros(1))[0])

    @property
    def square_slope_at_zero(self) -> float:
        left, right = self._slopes_at_zero()
        return 0.5 * (left**2 + right**2)

    def remainder(self, q: float) -> float:
        return float(self._average(lambda a: self._beside(a, *self._tails(), square=True), np.array([q]))[0])

    def square_slope(self, q: Array) -> Array:
        return self._average(lambda a: np.square(self.activation.slope(a)), q)

    def deficit(self, q: Array) -> Array:
        """The same for phi less a function h of slopes l below and r above zero, which has none of its own.

        With r = phi - h, q E[phi'^2] - E[phi^2] = E[q r'^2 - r^2] - 2 sqrt(q / 2 pi) (r - l) phi(0), by Stein's
        lemma: h is tangential where q is small, asymptotic where it is large.
        """
        near = q < self.shape.width**2
        deficits = np.empty_like(q)
        for chosen, (left, right) in ((near, self._slopes_at_zero()), (~near, self._tails())):
            if chosen.any():
                deficits[chosen] = self._deficit(q[chosen], left, right)
        return deficits

    def log_length_slope(self, q: float) -> float:
        def integrand(a: Array) -> Array:
            return a / deviation * self.activation.value(a) * self.activation.slope(a)

        deviation = math.sqrt(q)
        average = abs(float(self._average(integrand, np.array([q]))[0]))
        return math.log(average) - math.log(deviation) if average > 0.0 else -math.inf

    def correlation_loss(self, q: float, distance: float) -> float:
        try:
            return loss_by_quadrature(self.activation, self.shape, q, distance)
        except Undecided:
            low, high = self._limits()
            across = 0.5 * (low + high)
            half = 0.5 * (high - low)
            # phi is a step: E[sgn a sgn b] = (2 / pi) asin(c), to a relative error of 1 / (q sqrt(1 - c^2))
            together = across**2 + half**2 * 2.0 / math.pi * math.asin(1.0 - distance)
            return self.remainder(q) - together

    def log_correlation_slope(self, q: float, distance: float) -> float:
        if distance == 1.0:  # independent
            return 2.0 * math.log(abs(float(self._average(self.activation.slope, np.array([q]))[0])))
        try:
            return math.log(slope_by_quadrature(self.activation, self.shape, q, distance))
        except Undecided:
            low, high = self._limits()
            return math.log((high - low) ** 2 / (2.0 * math.pi * q * math.sqrt(distance * (2.0 - distance))))

    def _limits(self) -> tuple[float, float]:
        if self.shape.limits is None:
            raise Undecided
        return self.shape.limits

    def _tails(self) -> tuple[float, float]:
        return self.shape.left_slope, self.shape.right_slope

    def _slopes_at_zero(self) -> tuple[float, float]:
        left, right = self.activation.slope(np.array([-_TINY, _TINY])).tolist()
        return left, right

    def _beside(self, a: Array, left: float, right: float, *, square: bool = False) -> Array:
        """phi - h, or phi^2 - h^2, with h(a) = left a below zero and right a above."""
        value, h = self.activation.value(a), a * np.where(a > 0.0, right, left)
        return np.asarray((value - h) * (value + h) if square else value - h)

    def _deficit(self, q: Array, left: float, right: float) -> Array:
        def square_slope(a: Array) -> Array:
            return np.asarray(np.square(self.activation.slope(a) - np.where(a > 0.0, right, left)))

        corner = 2.0 * np.sqrt(q / (2.0 * math.pi)) * (right - left) * self.value_at_zero
        square = self._average(lambda a: np.square(self._beside(a, left, right)), q)
        return np.asarray(q * self._average(square_slope, q) - square - corner)

    def _average(self, f: Callable[[Array], Array], q: Array) -> Array:
        """E[f(sqrt(q) z)] for every q."""
        deviations = np.sqrt(q)
        averages = np.empty_like(q)
        stride = 1 if len(q) == 1 else 32  # neighbours share their panels, which the largest of them decides
        for start in range(0, len(q), stride):
            part = deviations[start : start + stride]
            breaks = np.broadcast_to(self.shape.breaks, (len(part), len(self.shape.breaks)))
            width = np.full(len(part), self.shape.width)
            nodes, weights = gaussian_rule(part, breaks, width, np.full(len(part), np.inf))
            averages[start : start + stride] = np.sum(weights * f(nodes), axis=-1)
        return averages


@dataclass(frozen=True)
class SinMoments:
    """phi = sin, whose averages are exponentials; a quadrature would have to follow sqrt(q) / pi oscillations."""

    activation: Activation
    tail: float = 0.0
    odd: bool = True
    value_at_zero: float = 0.0
    square_slope_at_zero: float = 1.0

    def remainder(self, q: float) -> float:
        return -0.5 * math.expm1(-2.0 * q)

    def square_slope(self, q: Array) -> Array:
        return 0.5 * (1.0 + np.exp(-2.0 * q))

    def deficit(self, q: Array) -> Array:
        """(q - tanh q) S(q), by its series where that cancels."""
        small = np.minimum(q, 0.1)
        square = small * small
        # q - tanh q = q^3 / 3 - 2 q^5 / 15 + 17 q^7 / 315 - 62 q^9 / 2835 + 1382 q^11 / 155925 - ...
        coefficients = (1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925, -21844 / 6081075)
        series = small * square * np.polynomial.polynomial.polyval(square, coefficients)
        return np.asarray(np.where(q < 0.1, series, q - np.tanh(q)) * self.square_slope(q))

    def log_length_slope(self, q: float) -> float:
        return -2.0 * q

    def correlation_loss(self, q: float, distance: float) -> float:
        return -0.5 * math.expm1(-q * distance) + 0.5 * (math.exp(-q * (2.0 - distance)) - math.exp(-2.0 * q))

    def log_correlation_slope(self, q: float, distance: float) -> float:
        return float(np.logaddexp(-q * distance, -q * (2.0 - distance))) - math.log(2.0)
