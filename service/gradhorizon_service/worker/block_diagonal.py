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
    """multipliers (m,) complex, one a block in the order of the coordinates: real a for [a], a + ib for a pair.

    `pairs` (m,) says which blocks take two coordinates where that does not follow from the numbers: a complex state
    stays one whose multiplier happens to be real.
    """

    multipliers: Array
    pairs: Array | None = None

    def with_multipliers(self, multipliers: Array) -> BlockDiagonal:
        """Other eigenvalues on the same coordinates."""
        return BlockDiagonal(multipliers, self.is_pair)

    @cached_property
    def is_pair(self) -> Array:
        """Which blocks take two coordinates, (m,)."""
        return np.asarray(self.multipliers.imag != 0.0 if self.pairs is None else self.pairs)

    @cached_property
    def first(self) -> Array:
        """The first coordinate of each block, (m,)."""
        widths = 1 + self.is_pair.astype(np.int64)
        return np.asarray(np.cumsum(widths) - widths)

    @cached_property
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
        if self.is_pair.all():
            return np.array(vectors, dtype=np.float64, order="C").view(np.complex128)
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
        return self._product(vectors, self._turned)

    def transpose_times(self, vectors: Array) -> Array:
        """Lambda^T v along the last axis."""
        return self._product(vectors, -self._turned)

    def _product(self, vectors: Array, turned: Array) -> Array:
        """Coordinate by coordinate: a tenth of what complex numbers cost that are taken apart again."""
        product = vectors * self._kept
        if self.is_pair.any():
            product += np.take(vectors, self._partners, axis=-1) * turned
        return product

    @cached_property
    def _kept(self) -> Array:
        """What a coordinate passes on to itself, (N,)."""
        return np.ascontiguousarray(self.multipliers.real[self.block_of])

    @cached_property
    def _turned(self) -> Array:
        """What it takes over from its partner, (N,): -b for the first of a pair and b for the second."""
        turned = np.where(self.is_pair, self.multipliers.imag, 0.0)[self.block_of]
        turned[self.first] *= -1.0
        return turned

    @cached_property
    def _partners(self) -> Array:
        """The other coordinate of the pair; a real one has itself, (N,)."""
        partners = np.arange(self.size)
        first = self.first[self.is_pair]
        partners[first], partners[first + 1] = first + 1, first
        return partners

    def gradient_pairs(self, deltas: Array, states: Array) -> tuple[Array, Array]:
        """Two complex arrays (..., m) whose entry-wise products sum to the gradient of every block.

        With z = x + iy and delta = u + iv: dL/da = u x + v y and dL/db = v x - u y, that is delta conj(z).
        """
        return self.modes(deltas), self.modes(states).conj()
