"""Eigenvalues as diagonal blocks of a real matrix: [a] for a real one, [[a, -b], [b, a]] for a pair a +- i b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..errors import CannotRun


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks in the order of their coordinates: `real` (m,) first, then `pairs` (p,), complex with b > 0."""

    real: Array
    pairs: Array

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return len(self.real) + 2 * len(self.pairs)

    def diagonal(self) -> Array:
        """The block diagonal matrix."""
        matrix = np.zeros((self.size, self.size))
        single, first = self._places()
        matrix[single, single] = self.real
        matrix[first, first] = matrix[first + 1, first + 1] = self.pairs.real
        matrix[first, first + 1] = -self.pairs.imag
        matrix[first + 1, first] = self.pairs.imag
        return matrix

    def superdiagonal(self) -> Array:
        """Ones that lead from each coordinate of a block to the same coordinate of the next one."""
        matrix = np.zeros((self.size, self.size))
        single, first = self._places()
        starts = np.concatenate([single, first])
        matrix[starts[:-1], starts[1:]] = 1.0
        matrix[first[:-1] + 1, first[1:] + 1] = 1.0
        return matrix

    def _places(self) -> tuple[Array, Array]:
        """The coordinate of each real eigenvalue, and the first coordinate of each pair."""
        count = len(self.real)
        return np.arange(count), count + 2 * np.arange(len(self.pairs))


@dataclass(frozen=True, eq=False)
class GivenEigenvalues:
    """Explicit eigenvalues in the place of a distribution, in the order given."""

    values: Array

    @property
    def size(self) -> int:
        """How many eigenvalues there are, conjugates included."""
        return len(self.values)

    def draw(self, generator: np.random.Generator) -> Blocks:
        """The blocks; of a pair the place of its upper member counts."""
        values = np.asarray(self.values, dtype=np.complex128)
        upper, lower = values[values.imag > 0.0], values[values.imag < 0.0]
        if not np.array_equal(np.sort(upper), np.sort(lower.conj())):
            raise CannotRun("eigenvalues", _advice(values))
        return Blocks(values[values.imag == 0.0].real, upper)


def _advice(values: Array) -> str:
    distinct, counts = np.unique(values, return_counts=True)
    found = dict(zip(distinct.tolist(), counts.tolist(), strict=True))
    lonely = next(value for value, count in found.items() if found.get(value.conjugate()) != count)
    return (
        f"a real matrix has complex eigenvalues in conjugate pairs only: list {lonely.conjugate():.6g} as often as"
        f" {lonely:.6g}, equal to the last digit"
    )
