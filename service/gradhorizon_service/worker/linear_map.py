"""Weights as a map of row vectors, forward and back, for the few rows that a batch of sequences has."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ._types import Array

# Up to so many multiplications, OpenBLAS on AVX-512 takes matrices as they lie; beyond, it first copies them into
# panels, which for a few rows is most of the work.
_SMALL = 100**3
# Narrower pieces fill no vector register; a larger matrix leaves the caches, and then nothing is gained.
_NARROWEST = 8
_LARGEST = 1 << 21


class LinearMap:
    """h -> W h for W (M, N), applied to rows: (B, N) to (B, M), and back with W^T."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    @cached_property
    def _right(self) -> _RightFactor:
        return _RightFactor(np.ascontiguousarray(self._matrix.T))

    @cached_property
    def _right_back(self) -> _RightFactor:
        return _RightFactor(np.ascontiguousarray(self._matrix))

    def forward(self, rows: Array) -> Array:
        """W h of every row, (B, M)."""
        return self._right.after(rows)

    def back(self, rows: Array) -> Array:
        """W^T g of every row, (..., B, N)."""
        return self._right_back.after(rows) if rows.ndim == 2 else np.asarray(rows @ self._matrix)


class _RightFactor:
    """A matrix M (K, N) that rows stand before, X M, cut by columns into pieces that are small for BLAS."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix
        self._cut: dict[int, Array | None] = {}

    def after(self, rows: Array) -> Array:
        count = len(rows)
        if count not in self._cut:
            self._cut = {count: self._pieces(count)}
        pieces = self._cut[count]
        if pieces is None:
            return np.asarray(np.dot(rows, self._matrix))
        product = np.empty((count, self._matrix.shape[1]))
        np.matmul(rows, pieces, out=product.reshape(count, len(pieces), -1).swapaxes(0, 1))
        return product

    def _pieces(self, rows: int) -> Array | None:
        """The widest equal pieces (N / n, K, n) that are small enough; None to leave the matrix whole."""
        inner, columns = self._matrix.shape
        widest = _SMALL // max(1, rows * inner)
        if rows == 1 or widest >= columns or self._matrix.size > _LARGEST:
            return None
        width = next((n for n in range(widest, _NARROWEST - 1, -1) if columns % n == 0), None)
        if width is None:
            return None
        return np.ascontiguousarray(self._matrix.reshape(inner, -1, width).swapaxes(0, 1))
