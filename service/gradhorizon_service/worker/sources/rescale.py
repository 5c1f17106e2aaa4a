"""Multiplying a matrix so that its spectral radius or its spectral norm has a given value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._types import Array
from ..errors import CannotRun
from ..matrix_analysis import spectral_norm, spectral_radius

_MEASURES = {"spectral_radius": spectral_radius, "spectral_norm": spectral_norm}


@dataclass(frozen=True)
class Rescale:
    """Which measure of a matrix gets which value, through a positive factor. Refusals name `rescale`."""

    to: Literal["spectral_radius", "spectral_norm"]
    value: float

    def of_matrix(self, matrix: Array) -> Array:
        """The matrix multiplied."""
        rows, columns = matrix.shape
        if self.to == "spectral_radius" and rows != columns:
            message = f"a {rows} x {columns} matrix has no eigenvalues; rescale to a spectral_norm instead"
            raise CannotRun("rescale.to", message)
        return self._multiplied(matrix, _MEASURES[self.to](matrix))

    def of_blocks(self, eigenvalues: Array) -> Array:
        """The eigenvalues of a block diagonal matrix multiplied: radius and norm are both the largest modulus."""
        return self._multiplied(eigenvalues, float(np.abs(eigenvalues).max()))

    def _multiplied(self, values: Array, measure: float) -> Array:
        name = self.to.replace("_", " ")
        if measure == 0.0:
            raise CannotRun("rescale", f"no factor gives a matrix of {name} 0 another one; leave out rescale")
        with np.errstate(over="ignore"):
            scaled: Array = values / measure * self.value  # value / measure alone may overflow
        if not np.isfinite(scaled).all():
            message = (
                f"with {name} {measure:.3g} to start from, entries would overflow; choose a smaller value"
            )
            raise CannotRun("rescale", message)
        return scaled
