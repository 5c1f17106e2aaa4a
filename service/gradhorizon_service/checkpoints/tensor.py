"""One named tensor of a checkpoint, read when asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .element import Array, Element
from .errors import Damaged, TooLarge, Unsupported, shown
from .limits import ReadLimits
from .wire.content import PIECE, Buffer, Content

Role = Literal["parameter", "optimizer"]


@dataclass(frozen=True, eq=False)
class Tensor:
    """What the file says of a tensor, and where its numbers stand.

    `dtype` is the file's own word ("BF16", "float32", "FLOAT"), `element` what it means. `strides` count elements of
    `content`, None for row-major without gaps. `role` tells an optimizer's state from what a network computes with.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    element: Element
    content: Content
    limits: ReadLimits
    strides: tuple[int, ...] | None = None
    role: Role = "parameter"

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.element.bytes_for(self.count)

    @property
    def is_floating(self) -> bool:
        """Whether the numbers can be weights: integers, booleans and text are listed only."""
        return self.element.is_floating

    def load(self) -> Array:
        """Return the numbers in their own type and the machine's byte order, bfloat16 as float32."""
        return self.element.decoded(self._stored())

    def load_float64(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return floating-point numbers as float64, exactly."""
        if self.element.dtype is not None and not self.is_floating:
            raise Unsupported(f"holds {shown(self.name)} as {self.dtype}; weights are floating-point numbers")
        with np.errstate(invalid="ignore"):  # a signalling NaN in the file
            return self.load().astype(np.float64)

    def sha256(self) -> str:
        """Return the hash of the stored numbers, row-major and little endian: equal tensors of two files agree."""
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False)).data)
        return digest.hexdigest()

    def count_nonfinite(self) -> int:
        """Return how many numbers are NaN or infinite."""
        return sum(self.element.count_nonfinite(block) for block in self._blocks())

    def is_finite(self) -> bool:
        return all(self.element.count_nonfinite(block) == 0 for block in self._blocks())

    def _blocks(self) -> Iterator[Array]:
        """Yield the stored numbers row by row; only a tensor with gaps or another order has to be loaded for it."""
        dtype = self._dtype()
        if self.strides is not None:
            yield self._stored().reshape(-1)
            return
        for piece in _aligned(self.content.pieces(), dtype.itemsize):
            yield np.frombuffer(piece, dtype)

    def _stored(self) -> Array:
        dtype = self._dtype()
        if max(self.nbytes, self.content.size) > self.limits.max_tensor_bytes:
            raise TooLarge(
                f"holds {shown(self.name)} of {max(self.nbytes, self.content.size)} bytes; "
                f"at most {self.limits.max_tensor_bytes} are loaded at once"
            )
        if not self.count:
            return np.empty(self.shape, dtype)
        stored = _collected(self.content).view(dtype)
        if self.strides is None:
            return stored.reshape(self.shape)
        steps = tuple(step * dtype.itemsize for step in self.strides)
        return np.ascontiguousarray(as_strided(stored, self.shape, steps, writeable=False)).reshape(
            self.shape
        )

    def _dtype(self) -> np.dtype[Any]:
        if self.element.dtype is None:
            raise Unsupported(
                f"holds {shown(self.name)} as {self.dtype}, which is not read here; save it as float32 or bfloat16"
            )
        return self.element.dtype


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a tensor without gaps."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _collected(content: Content) -> Array:
    buffer = np.empty(content.size, np.uint8)
    reached = 0
    for piece in content.pieces():
        if reached + len(piece) > content.size:
            break
        buffer[reached : reached + len(piece)] = np.frombuffer(piece, np.uint8)
        reached += len(piece)
    if reached != content.size:
        raise Damaged("holds a tensor whose bytes end early")
    return buffer


def _aligned(pieces: Iterable[Buffer], itemsize: int) -> Iterator[Buffer]:
    """Cut a stream of bytes into blocks of whole elements."""
    rest = b""
    for piece in pieces:
        joined = memoryview(rest + bytes(piece) if rest else piece)
        whole = len(joined) - len(joined) % itemsize
        rest = bytes(joined[whole:])
        for start in range(0, whole, PIECE):
            yield joined[start : min(start + PIECE, whole)]
