"""Arrays of one loop, step by step: one preallocated block where all have one shape, a list where they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._types import Array

_CHUNK = 1 << 20


class History:
    """Up to `length` arrays in order; `uniform` says that they share their shape.

    A `block` (length, ...) may be handed over to be written into, row by row, if its rows have that shape.
    """

    def __init__(self, length: int, uniform: bool, block: Array | None = None) -> None:
        self._length = length
        self._uniform = uniform
        self._block = block
        self._list: list[Array] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, array: Array) -> None:
        """Keep a copy of the next array (or, in a list, the array itself)."""
        if self._uniform:
            if self._block is None or self._block.shape[1:] != array.shape:
                self._block = np.empty((self._length, *array.shape))
            self._block[self._count] = array
        else:
            self._list.append(array)
        self._count += 1

    def forget(self, count: int) -> None:
        """Drop all but the first `count` arrays."""
        del self._list[count:]
        self._count = count

    def values(self, count: int | None = None, start: int = 0) -> Sequence[Array]:
        """The arrays from `start` to `count`; all of them by default. One (count, ...) array where they are uniform."""
        count = self._count if count is None else count
        if not self._uniform:
            return self._list[start:count]
        return np.zeros((0, 0, 0)) if self._block is None else self._block[start:count]  # type: ignore[return-value]

    def count_finite(self) -> int:
        """How many arrays come before the first one that holds a NaN or an infinity."""
        if self._block is None:
            finite = [bool(np.isfinite(array).all()) for array in self._list]
            return finite.index(False) if False in finite else self._count
        stride = max(1, _CHUNK // max(1, self._block[:1].size))
        for start in range(0, self._count, stride):
            part = np.isfinite(self._block[start : start + stride])
            if not part.all():
                return start + int(np.argmin(part.all(axis=tuple(range(1, part.ndim)))))
        return self._count
