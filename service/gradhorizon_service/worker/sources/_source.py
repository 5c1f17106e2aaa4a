"""What every source of a matrix offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass

from .._types import Array
from .rescale import Rescale

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Source(ABC):
    """A description of one real matrix: picklable, small, and the same matrix whenever it is built.

    Fields have the names they have in a request. Rows are outputs and columns inputs, as in PyTorch's
    weights. Everything random comes from `numpy.random.default_rng(seed)`. A member says how its own matrix
    comes about, in `_matrix`; `rescale` is seen to here.
    """

    _: KW_ONLY
    rescale: Rescale | None = None

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """(rows, columns), without building."""

    def build(self) -> Array:
        """A fresh float64 matrix. Raises CannotRun, naming the field, where only the numbers show there is none."""
        matrix = self._matrix()
        return matrix if self.rescale is None else self.rescale.of_matrix(matrix)

    @abstractmethod
    def _matrix(self) -> Array:
        """The matrix before it is rescaled."""
