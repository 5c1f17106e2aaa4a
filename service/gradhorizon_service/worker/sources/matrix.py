"""A matrix given by its entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ._source import Shape, Source


@dataclass(frozen=True, eq=False)
class MatrixSource(Source):
    """The matrix itself, or its transpose."""

    values: Array
    transpose: bool = False

    @property
    def shape(self) -> Shape:
        rows, columns = self.values.shape
        return (columns, rows) if self.transpose else (rows, columns)

    def _matrix(self) -> Array:
        return np.array(self.values.T if self.transpose else self.values, dtype=np.float64, order="C")
