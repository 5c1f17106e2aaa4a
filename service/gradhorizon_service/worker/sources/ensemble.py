"""A random matrix of a named family."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

import numpy as np

from .._types import Array
from ..errors import CannotRun
from ._source import Shape, Source
from .entry_variances import ENTRY_VARIANCES
from .families import FAMILIES

_UNSET: Shape = (0, 0)
_OPTIONS = ("density", "hidden_size")


@dataclass(frozen=True, eq=False)
class EnsembleSource(Source):
    """`gain` times a matrix of the family (see `families`), of a `shape` or, where it is square, of a `size`.

    `density` is an option of `sparse`, `hidden_size` one of `torch_default` and `keras_default`; None leaves the
    family's default.
    """

    family: str
    size: InitVar[int | None] = None
    shape: Shape = _UNSET
    gain: float = 1.0
    seed: int = 0
    density: float | None = None
    hidden_size: int | None = None

    def __post_init__(self, size: int | None) -> None:
        """Settle the shape: afterwards it is there whichever of the two was given."""
        given = tuple(self.shape or _UNSET)  # a request that gives a size sends null for the shape
        if (size is None) == (given == _UNSET):
            raise CannotRun("shape", "give either a size or a shape")
        object.__setattr__(self, "shape", given if size is None else (size, size))

    @property
    def entry_variance(self) -> float | None:
        """Gain^2 times the family's variance of an entry; None where entries depend on each other, or are rescaled."""
        variance = ENTRY_VARIANCES.get(self.family)
        if variance is None or self.rescale is not None:
            return None
        rows, columns = self.shape
        found = variance(rows, columns, self.hidden_size or rows)
        return None if found is None else self.gain * self.gain * found

    def _matrix(self) -> Array:
        options = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        generator = np.random.default_rng(self.seed)
        return self.gain * FAMILIES[self.family](*self.shape, generator, **options)
