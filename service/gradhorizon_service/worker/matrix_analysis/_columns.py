"""Back substitution whose solutions may leave float64: columns with an exponent each."""

from __future__ import annotations

import math

import numpy as np

from .._types import Array

_LARGEST_EXPONENT = 300
"""Entries stay below 2^300 = 2e90, which leaves room for a product with an entry of 1e200 and for the sum."""

_BLOCK = 16
"""Rows that share one matrix product with the rows below them."""

_TAME_EXPONENT = 600
"""What a block of rows may grow by, unwatched: from 2^300 it then stays in float64."""


class Columns:
    """Columns x_k = values[:, k] * 2^exponents[k], filled from the last row up."""

    def __init__(self, size: int, count: int) -> None:
        self.values: Array = np.zeros((size, count), dtype=np.complex128)
        self.exponents: Array = np.zeros(count)

    def shrink_for(self, first: int, numerators: Array, denominators: Array) -> Array | None:
        """Scale columns `first`, ... down where the quotient would grow too large; their factors, if any."""
        return self._shrink(first, _exponents(numerators) - _exponents(denominators))

    def shrink_grown(self, rows: slice) -> Array | None:
        """Scale columns down where entries of these rows have grown too large; their factors, if any."""
        return self._shrink(0, _exponents(self.values[rows]).max(axis=0))

    def _shrink(self, first: int, exponents: Array) -> Array | None:
        excess = exponents - _LARGEST_EXPONENT
        if excess.max(initial=0) <= 0:
            return None
        excess = np.maximum(excess, 0)
        factors: Array = np.exp2(-excess.astype(np.float64))
        self.values[:, first:] *= factors
        self.exponents[first:] += excess
        return factors

    def normalised(self) -> tuple[Array, Array]:
        """The columns scaled to unit length, zero ones left alone, and the natural logarithms of their lengths."""
        largest = np.abs(self.values).max(axis=0)
        present = largest > 0.0
        units = np.where(present, largest, 1.0)
        scaled = self.values / units  # the square of 1e-201 would be zero
        lengths = np.where(present, np.linalg.norm(scaled, axis=0), 1.0)
        logs = np.log(units) + np.log(lengths) + math.log(2.0) * self.exponents
        return scaled / lengths, np.where(present, logs, -np.inf)


def solve_shifted(triangle: Array, shifts: Array, right: Array) -> Columns:
    """Columns x_k with (T - shifts[k] I) x_k = right[:, k], for T upper triangular and shifts off its diagonal.

    One pass over the rows serves all shifts: the numpy calls are shared by the columns, and most arithmetic is in
    matrix products, one for every 16 rows. Right sides have entries of at most 1.
    """
    size, count = right.shape
    solution = Columns(size, count)
    values, units = solution.values, np.ones(count)
    denominators = np.diagonal(triangle)[:, None] - shifts
    tame = _is_tame(triangle, denominators)
    for end in range(size, 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        numerators = right[start:end] * units - triangle[start:end, end:] @ values[end:]
        for row in range(end - 1, start - 1, -1):
            numerators[row - start] -= triangle[row, row + 1 : end] @ values[row + 1 : end]
            if not tame:
                factors = solution.shrink_for(0, numerators[row - start], denominators[row])
                if factors is not None:
                    numerators, units = numerators * factors, units * factors
            values[row] = numerators[row - start] / denominators[row]
        factors = solution.shrink_grown(slice(start, end))
        units = units if factors is None else units * factors
    return solution


def _is_tame(triangle: Array, denominators: Array) -> bool:
    """Whether no block of rows can leave float64 before it is looked at."""
    per_row = 1.0 + len(triangle) * float(np.abs(triangle).max()) / float(np.abs(denominators).min())
    return _BLOCK * math.log2(per_row) <= _TAME_EXPONENT


def _exponents(values: Array) -> Array:
    """The binary exponents of moduli, and 0 for a modulus of 0."""
    return np.frexp(np.abs(values))[1]
