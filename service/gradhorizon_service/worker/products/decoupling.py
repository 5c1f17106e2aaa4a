"""Groups of coordinates that no factor ever mixes, and the products of their blocks alone."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from .._types import Array
from .factors import DenseFactors, Factors, Repeated, RowScaled, Shifted


def uncoupled_groups(factors: Factors) -> list[Array]:
    """The coordinates as groups of equal size, each an array (c, k) of c components of k coordinates."""
    count, labels = connected_components(_pattern(factors), directed=False)
    components = [np.flatnonzero(labels == label) for label in range(count)]
    sizes = sorted({len(component) for component in components})
    return [np.stack([component for component in components if len(component) == k]) for k in sizes]


def _pattern(factors: Factors) -> Array:
    """Where any factor has an entry that is not zero, (N, N)."""
    pattern: Array = np.zeros((factors.size, factors.size), dtype=bool)
    if isinstance(factors, RowScaled | Shifted | Repeated):
        pattern |= factors.matrix != 0.0
        return pattern
    if isinstance(factors, DenseFactors):
        pattern |= (factors.tensor != 0.0).any(axis=(0, 1))
        return pattern
    for step in range(factors.steps):
        pattern |= (factors.dense(step) != 0.0).any(axis=0)
        if connected_components(pattern, directed=False)[0] == 1:
            break
    return pattern


def scalar_products(factors: Factors, coordinates: Array) -> Array:
    """ln|a_T .. a_1| of the entries that act on coordinates of their own, (B, c)."""
    logs: Array = np.zeros((factors.batch, len(coordinates)))
    with np.errstate(divide="ignore"):
        if isinstance(factors, Repeated | RowScaled):
            logs += factors.steps * np.log(np.abs(factors.matrix[coordinates, coordinates]))
            if isinstance(factors, RowScaled):
                logs += np.log(np.abs(factors.slopes[:, :, coordinates])).sum(axis=0)
            return logs
        if isinstance(factors, Shifted):
            entries = factors.slopes[:, :, coordinates] * factors.matrix[coordinates, coordinates]
            return np.asarray(np.log(np.abs(factors.shift + entries)).sum(axis=0))
        for step in range(factors.steps):
            logs += np.log(np.abs(factors.dense(step)[:, coordinates, coordinates]))
    return logs


class Blocks:
    """The diagonal blocks of c components (c, k): factors of size k for B * c sequences."""

    def __init__(self, factors: Factors, components: Array) -> None:
        self._factors = factors
        self._rows, self._columns = components[:, :, None], components[:, None, :]
        self.size = components.shape[1]
        self.steps = factors.steps
        self.batch = factors.batch * len(components)

    def times(self, step: int, frames: Array) -> Array:
        return self.dense(step) @ frames

    def transpose_times(self, step: int, frames: Array) -> Array:
        return self.dense(step).swapaxes(-1, -2) @ frames

    def dense(self, step: int) -> Array:
        return self._factors.dense(step)[:, self._rows, self._columns].reshape(
            self.batch, self.size, self.size
        )
