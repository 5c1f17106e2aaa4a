"""The parameters of all runs in one array, and as one array for each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from .._types import Array


@dataclass(frozen=True)
class Layout:
    """Name -> shape of one run's parameter, in the order in which they lie in a row of numbers."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Numbers of one run."""
        return sum(map(prod, self.shapes.values()))

    def views(self, flat: Array) -> dict[str, Array]:
        """(R, size) as (R, ...) by name, without copying."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + prod(shape)
            found[name] = flat[:, start:stop].reshape(len(flat), *shape)
            start = stop
        return found

    def flat(self, parameters: Mapping[str, Array]) -> Array:
        """(R, ...) by name as (R, size)."""
        rows = [parameters[name].reshape(len(parameters[name]), -1) for name in self.shapes]
        return np.concatenate(rows, axis=1)
