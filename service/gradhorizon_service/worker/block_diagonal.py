"""A block-diagonal matrix of real numbers and 2 x 2 rotation-scalings [[a, -b], [b, a]], kept as its eigenvalues.

On a pair of coordinates (x, y) such a block acts as multiplication of x + iy by a + ib, and its transpose as
multiplication by the conjugate. It is normal: its singular values are the moduli of its eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._types import Array


@dataclass(frozen=True, eq=False)
class BlockDiagonal:
    """multipliers (m,) complex, one a block in the order of the coordinates: real a for [a], a + ib for a pair."""

    multipliers: Array

    @cached_property
    def is_pair(self) -> Array:
        """Which blocks take two coordinates, (m,)."""
        return np.asarray(self.multipliers.imag != 0.0)

    @cached_property
    def first(self) -> Array:
        """The first coordinate of each block, (m,)."""
        widths = 1 + self.is_pair.astype(np.int64)
        return np.asarray(np.cumsum(widths) - widths)

    @property
    def size(self) -> int:
        """Coordinates."""
        return len(self.multipliers) + int(np.count_nonzero(self.is_pair))

    @cached_property
    def block_of(self) -> Array:
        """The block each coordinate belongs to, (N,)."""
        return np.repeat(np.arange(len(self.multipliers)), 1 + self.is_pair.astype(np.int64))

    @cached_property
    def eigenvalues(self) -> Array:
        """All N eigenvalues, each pair at its two coordinates: (N,) complex."""
        values = self.multipliers[self.block_of]
        second = self.first[self.is_pair] + 1
        values[second] = values[second].conj()
        return values

    def modes(self, vectors: Array) -> Array:
        """Coordinates (..., N) as one number a block, (..., m) complex."""
        modes = vectors[..., self.first].astype(np.complex128)
        modes[..., self.is_pair] += 1j * vectors[..., self.first[self.is_pair] + 1]
        return modes

    def coordinates(self, modes: Array) -> Array:
        """The inverse of `modes`."""
        vectors = np.empty((*modes.shape[:-1], self.size))
        vectors[..., self.first] = modes.real
        vectors[..., self.first[self.is_pair] + 1] = modes.imag[..., self.is_pair]
        return vectors

    def times(self, vectors: Array) -> Array:
        """Lambda v along the last axis."""
        return self.coordinates(self.modes(vectors) * self.multipliers)

    def transpose_times(self, vectors: Array) -> Array:
        """Lambda^T v along the last axis."""
        return self.coordinates(self.modes(vectors) * self.multipliers.conj())

    def gradient_pairs(self, deltas: Array, states: Array) -> tuple[Array, Array]:
        """Two complex arrays (..., m) whose entry-wise products sum to the gradient of every block.

        With z = x + iy and delta = u + iv: dL/da = u x + v y and dL/db = v x - u y, that is delta conj(z).
        """
        return self.modes(deltas), self.modes(states).conj()
