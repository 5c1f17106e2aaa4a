"""A matrix with given singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._types import Array
from ..errors import CannotRun
from ._orthogonal import haar
from ._source import Shape, Source

Factor = Literal["random", "identity"] | Array

_ORTHONORMAL = 1e-8
"""How far from the identity the Gram matrix of a factor may be: rounding of float64, but not of float32."""


@dataclass(frozen=True, eq=False)
class SingularValuesSource(Source):
    """left diag(values) right^T, the n columns of `left` and `right` being the singular vectors.

    A factor is uniformly distributed (`random`), the identity, or a matrix with n orthonormal columns; one
    with more rows than columns makes the result rectangular.
    """

    values: Array
    left: Factor = "random"
    right: Factor = "random"
    seed: int = 0

    @property
    def shape(self) -> Shape:
        return self._rows(self.left), self._rows(self.right)

    def _matrix(self) -> Array:
        generator = np.random.default_rng(self.seed)
        left = self._frame("left", self.left, generator)
        right = self._frame("right", self.right, generator)
        return (left * self.values) @ right.T

    def _rows(self, factor: Factor) -> int:
        return len(self.values) if isinstance(factor, str) else factor.shape[0]

    def _frame(self, field: str, factor: Factor, generator: np.random.Generator) -> Array:
        size = len(self.values)
        if isinstance(factor, str):
            return haar(size, size, generator) if factor == "random" else np.eye(size)
        if factor.shape[1] != size:
            raise CannotRun(
                field, f"needs one column for each of the {size} values, and has {factor.shape[1]}"
            )
        defect = float(np.abs(factor.T @ factor - np.eye(size)).max())
        if not defect <= _ORTHONORMAL:
            raise CannotRun(
                field,
                f"its columns are not orthonormal: {field}^T {field} differs from the identity by {defect:.2g}, over"
                f" {_ORTHONORMAL:.0e}; take the Q of its QR factorisation",
            )
        return factor
