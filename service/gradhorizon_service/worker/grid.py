"""Which points of a long series are reported."""

from __future__ import annotations

import numpy as np

from ._types import Array


def thinned(last: int, max_points: int) -> Array:
    """0..last where that fits; else at most max_points integers, every one near 0 and ever sparser, both ends held.

    The dense part takes half of the points, the rest are spaced geometrically.
    """
    if last + 1 <= max_points:
        return np.arange(last + 1)
    dense = max_points // 2
    sparse = np.geomspace(max(dense, 1), last, max_points - dense)
    points = np.unique(np.concatenate([np.arange(dense), np.round(sparse).astype(np.int64), [last]]))
    return points if len(points) <= max_points else np.delete(points, -2)


def thinned_evenly(indices: Array, max_points: int) -> Array:
    """At most max_points of these, evenly spaced, both ends held."""
    if len(indices) <= max_points:
        return indices
    return indices[np.round(np.linspace(0, len(indices) - 1, max_points)).astype(np.int64)]
