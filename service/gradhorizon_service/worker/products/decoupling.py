"""Groups of coordinates that no factor ever mixes: a product of block-diagonal matrices is a product for each block."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from .._types import Array
from .factors import DenseFactors, Factors, Repeated, RowScaled


def uncoupled_groups(factors: Factors) -> list[Array]:
    """The coordinates as groups of equal size, each an array (c, k) of c components of k coordinates."""
    count, labels = connected_components(_pattern(factors), directed=False)
    components = [np.flatnonzero(labels == label) for label in range(count)]
    sizes = sorted({len(component) for component in components})
    return [np.stack([component for component in components if len(component) == k]) for k in sizes]


def _pattern(factors: Factors) -> Array:
    """Where any factor has an entry that is not zero, (N, N)."""
    if isinstance(factors, RowScaled | Repeated):
        return factors.matrix != 0.0
    if isinstance(factors, DenseFactors):
        return (factors.tensor != 0.0).any(axis=(0, 1))
    pattern = np.zeros((factors.size, factors.size), dtype=bool)
    for step in range(factors.steps):
        pattern |= (factors.dense(step) != 0.0).any(axis=0)
        if connected_components(pattern, directed=False)[0] == 1:
            break
    return pattern


def scalar_products(factors: Factors, coordinates: Array) -> Array:
    """ln|a_T .. a_1| of the entries that act on coordinates of their own, (B, c)."""
    with np.errstate(divide="ignore"):
        if isinstance(factors, Repeated | RowScaled):
            shared = factors.steps * np.log(np.abs(factors.matrix[coordinates, coordinates]))[None]
            if isinstance(factors, Repeated):
                return shared
            return shared + np.log(np.abs(factors.slopes[:, :, coordinates])).sum(axis=0)
        if isinstance(factors, DenseFactors):
            return np.log(np.abs(factors.tensor[:, :, coordinates, coordinates])).sum(axis=0)
        return sum(np.log(np.abs(factors.dense(step)[:, coordinates, coordinates])) for step in range(factors.steps))


class Blocks:
    """The diagonal blocks of given factors, c components (c, k) for each of B sequences, as B * c sequences of size k."""

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
        return self._factors.dense(step)[:, self._rows, self._columns].reshape(self.batch, self.size, self.size)
