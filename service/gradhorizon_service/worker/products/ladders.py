"""Matrices scaled by powers of two, and the ladder W, W^2, W^4, ... of one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array

LN2 = math.log(2.0)
# Rows with norms outside this range are rescaled before their squares are summed, which could leave float64.
_SAFE_NORM = 2.0**500
# Binary orders that a square may fall short of the square of its largest entry while what underflows does not
# matter.
_RESOLVED_LOSS = 500


@dataclass(frozen=True, eq=False)
class ScaledPower:
    """The matrix 2**exponent * matrix, the largest entry of ``matrix`` in [1/2, 1), or everything zero.

    Scaling by powers of two is exact, so entries of 1e-200 and depths of 1e6 cost no accuracy.
    """

    matrix: Array
    exponent: int

    @property
    def log_scale(self) -> float:
        """The natural logarithm of the scale factor."""
        return self.exponent * LN2

    def __matmul__(self, other: ScaledPower) -> ScaledPower:
        """The product, scaled again."""
        return scaled(self.matrix @ other.matrix, self.exponent + other.exponent)


class PowerLadder:
    """The powers (2**exponent W)^(2^j), j = 0, 1, ..., each made when it is first asked for."""

    def __init__(self, matrix: Array, exponent: int = 0) -> None:
        self._rungs = [scaled(matrix, exponent)]
        self._deepest_loss = 0

    @property
    def size(self) -> int:
        """N, the side of the matrix."""
        return len(self._rungs[0].matrix)

    @property
    def is_resolved(self) -> bool:
        """Whether no square so far lies more than 500 binary orders below the square of its largest entry.

        If one did, entries that underflowed beside the largest would have decided the result: a transient of
        a Jordan block of size 256, say, spans more than float64 holds, in a loop of single steps too.
        """
        return self._deepest_loss < _RESOLVED_LOSS

    def rung(self, j: int) -> ScaledPower:
        """The power 2^j."""
        while len(self._rungs) <= j:
            root = self._rungs[-1]
            square = root @ root
            if square.matrix.any():
                self._deepest_loss = max(self._deepest_loss, 2 * root.exponent - square.exponent)
            self._rungs.append(square)
        return self._rungs[j]

    def power(self, p: int) -> ScaledPower:
        """The power p >= 0."""
        result = scaled(np.eye(self.size))
        for j in range(p.bit_length()):
            if p >> j & 1:
                result = result @ self.rung(j)
        return result


def scaled(matrix: Array, exponent: int = 0) -> ScaledPower:
    """2**exponent * matrix with its scale moved into the exponent."""
    largest = float(np.abs(matrix).max(initial=0.0))
    if largest == 0.0:
        return ScaledPower(matrix, 0)
    shift = math.frexp(largest)[1]
    # One multiplication where 2**-shift is a normal number; ldexp is as exact, and slower.
    shrunk = matrix * 2.0**-shift if abs(shift) < 1000 else np.ldexp(matrix, -shift)
    return ScaledPower(shrunk, exponent + shift)


def unit_rows(rows: Array) -> tuple[Array, Array]:
    """Rows (..., N) divided by their norms, and the logarithms of these; zero rows stay zero, with -inf."""
    norms = np.sqrt(np.einsum("...i,...i->...", rows, rows))
    shift = np.zeros(norms.shape)
    odd = ~((norms > 1.0 / _SAFE_NORM) & (norms < _SAFE_NORM))
    if odd.any():
        rows = rows.copy()
        exponents = np.frexp(np.abs(rows[odd]).max(axis=-1, initial=0.0))[1]
        rows[odd] = np.ldexp(rows[odd], -exponents[..., None])
        shift[odd] = exponents * LN2
        norms[odd] = np.sqrt(np.einsum("...i,...i->...", rows[odd], rows[odd]))
    alive = norms > 0.0
    logs = np.log(norms, out=np.full(norms.shape, -np.inf), where=alive)
    return rows / np.where(alive, norms, 1.0)[..., None], logs + shift
