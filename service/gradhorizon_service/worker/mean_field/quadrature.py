"""Gauss-Legendre rules on panels that shrink towards points where an integrand changes quickly."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .._types import Array

ORDER = 20
"""Nodes a panel: a singularity one panel's length away costs no more than 3^-40 of the integrand there."""
REACH = 10.0
"""Standard deviations: what lies beyond has a weight below 1e-22."""
_SHRINKAGE = 4.0


@lru_cache(maxsize=64)
def _half_rule(levels: int) -> tuple[Array, Array]:
    """Nodes and weights on [0, 1/2] by panels [1/8, 1/2], [1/32, 1/8], ... down to one that starts at 0."""
    x, w = np.polynomial.legendre.leggauss(ORDER)
    edges = np.concatenate([[0.0], 0.5 * _SHRINKAGE ** -np.arange(levels - 1.0, -1.0, -1.0)])
    lengths = np.diff(edges)
    nodes = edges[:-1, None] + lengths[:, None] * (0.5 + 0.5 * x)
    return nodes.ravel(), (0.5 * lengths[:, None] * w).ravel()


def levels_for(length: float, finest: float) -> int:
    """How many panels half an interval needs for its outermost ones to be at most half of `finest` long."""
    return 1 + max(1, math.ceil(math.log(max(length / finest, 1.0), _SHRINKAGE)))


def graded_rule(points: Array, levels: int) -> tuple[Array, Array]:
    """Nodes and weights (..., n) for the integral from the first to the last of the sorted `points` (..., P).

    Panels shrink towards every point, from both sides. Each node is counted from the point next to it: counted
    from the far one, the distance to the near one would have as many digits less as the interval is longer.
    """
    start, stop = points[..., :-1, None], points[..., 1:, None]
    fractions, weights = _half_rule(levels)
    steps = (stop - start) * fractions
    nodes = np.concatenate([start + steps, stop - steps], axis=-1)
    half = (stop - start) * weights
    weight = np.concatenate([half, half], axis=-1)
    shape = (*points.shape[:-1], -1)
    return nodes.reshape(shape), weight.reshape(shape)


def gaussian_rule(deviation: Array, breaks: Array, finest: Array, reach: Array) -> tuple[Array, Array]:
    """Nodes and weights (..., n) such that sum(weights f(nodes)) = E[f(a)], a ~ N(0, deviation^2).

    `deviation`, `finest` and `reach` are (...); `breaks` (..., P) are where f has kinks or its bends, which
    are `finest` wide. Only what lies within `reach` and within ten deviations is integrated.
    """
    reach = np.minimum(reach, REACH * deviation)[..., None]
    inner = np.clip(np.sort(breaks, axis=-1), -reach, reach)
    points = np.concatenate([-reach, inner, reach], axis=-1)
    finest = np.minimum(finest, deviation)
    levels = levels_for(2.0 * float(np.max(reach[..., 0] / finest)), 1.0)
    nodes, weights = graded_rule(points, levels)
    z = nodes / deviation[..., None]
    return nodes, weights * np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * deviation[..., None])
