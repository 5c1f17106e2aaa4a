"""Averages over two correlated Gaussian numbers, by quadrature over their half sum and half difference.

With a = m + d, b = m - d the two are independent: m of variance q (1 + c) / 2, d of variance q (1 - c) / 2. Then
E[phi(a)^2] - E[phi(a) phi(b)] = E[(phi(m + d) - phi(m - d))^2] / 2 loses no digits however close c is to 1, and the
kinks of phi lie on lines that panels can end at.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .._types import Array
from ..activations import Activation
from .quadrature import REACH, gaussian_rule, graded_rule, levels_for
from .shapes import Shape

_STEEPEST = 1e6
"""Standard deviations of a and b that are resolved, in widths of phi's bend; beyond, phi is its own limit."""
_SATURATION = 40.0
"""Widths after which a saturating activation has arrived, to rounding."""
_BLOCK = 1 << 18


class Undecided(Exception):
    """The activation bends too sharply beside the spread of its arguments for panels to follow."""


def loss_by_quadrature(activation: Activation, shape: Shape, q: float, distance: float) -> float:
    """V(q) - E[phi(a) phi(b)] for two numbers of variance q and correlation 1 - distance. Raises Undecided."""

    def square(a: Array, b: Array) -> Array:
        return np.asarray(0.5 * np.square(activation.value(a) - activation.value(b)))

    return _average(square, shape, q, distance)


def slope_by_quadrature(activation: Activation, shape: Shape, q: float, distance: float) -> float:
    """E[phi'(a) phi'(b)] for the same. Raises Undecided."""

    def product(a: Array, b: Array) -> Array:
        return activation.slope(a) * activation.slope(b)

    return _average(product, shape, q, distance)


def _average(f: Callable[[Array, Array], Array], shape: Shape, q: float, distance: float) -> float:
    """E[f(a, b)] for a symmetrical f."""
    sum_deviation = math.sqrt(q) * math.sqrt(1.0 - 0.5 * distance)
    difference_deviation = math.sqrt(q) * math.sqrt(0.5 * distance)
    spread = difference_deviation if shape.limits else max(sum_deviation, difference_deviation)
    if spread > _STEEPEST * shape.width:
        raise Undecided
    total = 0.0
    d, weights = _differences(shape, difference_deviation)
    stride = max(1, _BLOCK // 4000)
    for start in range(0, len(d), stride):
        part = d[start : start + stride]
        averages = _average_over_sums(f, shape, part, sum_deviation)
        total += float(weights[start : start + stride] @ averages)
    return total


def _differences(shape: Shape, deviation: float) -> tuple[Array, Array]:
    """Nodes d > 0 with the weights of both signs; the average over m bends where two kinks pass each other."""
    far = REACH * deviation
    passes = {abs(x - y) / 2.0 for x in shape.breaks for y in shape.breaks}
    points = np.array(sorted({0.0, far, *(x for x in passes if x < far)}))
    d, weights = graded_rule(points, levels_for(far, min(shape.width, deviation)))
    z = d / deviation
    return d, weights * np.exp(-0.5 * z * z) * (2.0 / (math.sqrt(2.0 * math.pi) * deviation))


def _average_over_sums(f: Callable[[Array, Array], Array], shape: Shape, d: Array, deviation: float) -> Array:
    """E over m of f(m + d, m - d), for every d."""
    offsets = np.array(shape.breaks)
    breaks = np.concatenate([offsets - d[:, None], offsets + d[:, None]], axis=-1)
    reach = np.full(len(d), np.inf)
    if shape.limits:
        reach = d + _SATURATION * shape.width
    deviations = np.full(len(d), deviation)
    m, weights = gaussian_rule(deviations, breaks, np.full(len(d), shape.width), reach)
    return np.asarray(np.sum(weights * f(m + d[:, None], m - d[:, None]), axis=-1))
