"""Numbers that are read when they are needed: a tensor of the file, or what is made of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import TooLarge
from ..tensor import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]


class Budget:
    """Bytes of numbers in double precision that one recognition may hold."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, count: int) -> None:
        """Count bytes in; raises TooLarge."""
        self._taken += count
        if self._taken > self._most:
            raise TooLarge(
                f"holds layers of more than {self._most} bytes in double precision; name some of them with `only`"
            )


@dataclass(frozen=True, eq=False)
class Weight:
    """An array (shape known, numbers not yet) and the tensors of the file it comes from."""

    shape: tuple[int, ...]
    names: tuple[str, ...]
    read: Callable[[], Array]

    @classmethod
    def of(cls, tensor: Tensor, budget: Budget) -> Weight:
        """Return the numbers of a tensor as they are."""

        def read() -> Array:
            budget.take(8 * tensor.count)
            return tensor.load_float64()

        return cls(tensor.shape, (tensor.name,), read)

    @property
    def T(self) -> Weight:  # noqa: N802 - as in NumPy
        """The transpose of a matrix."""
        return self.made(self.shape[::-1], lambda array: array.T)

    def made(self, shape: tuple[int, ...], function: Callable[[Array], Array]) -> Weight:
        """Return what a function makes of the numbers."""
        return Weight(shape, self.names, lambda: np.ascontiguousarray(function(self.read())))

    def part(self, start: int, stop: int) -> Weight:
        """Return some of the rows."""
        return self.made((stop - start, *self.shape[1:]), lambda array: array[start:stop])

    def at(self, index: int) -> Weight:
        """Return one entry along the first axis."""
        return self.made(self.shape[1:], lambda array: array[index])


def stacked(parts: Sequence[Weight]) -> Weight:
    """Return arrays on top of each other."""
    rows = sum(part.shape[0] for part in parts)
    names = tuple(name for part in parts for name in part.names)
    return Weight((rows, *parts[0].shape[1:]), names, lambda: np.concatenate([part.read() for part in parts]))


def combined(parts: Sequence[Weight], shape: tuple[int, ...], function: Callable[..., Array]) -> Weight:
    """Return what a function makes of several arrays."""
    names = tuple(name for part in parts for name in part.names)
    return Weight(shape, names, lambda: np.ascontiguousarray(function(*(part.read() for part in parts))))


def zeros(*shape: int) -> Weight:
    """Return zeros, which come from no tensor."""
    return Weight(shape, (), lambda: np.zeros(shape))
