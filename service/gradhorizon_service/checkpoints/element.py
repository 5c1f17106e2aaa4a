"""Number formats of tensors: how many bits, and how NumPy carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Element:
    """One number format under its common name; `dtype` is how its bits are read, None where they are not."""

    name: str
    bits: int
    dtype: np.dtype[Any] | None

    @property
    def is_floating(self) -> bool:
        """Whether a network can have weights in it."""
        return self.dtype is not None and (self.dtype.kind == "f" or self.name == "bfloat16")

    def bytes_for(self, count: int) -> int:
        return -(-count * self.bits // 8)

    def decoded(self, stored: Array) -> Array:
        """Turn the bits, read as `dtype`, into numbers in the machine's byte order; bfloat16 into float32."""
        if self.name == "bfloat16":  # the upper half of a float32
            return (stored.astype(np.uint32) << 16).view(np.float32)
        if self.name == "bool":
            return np.not_equal(stored, 0)
        native: Array = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return native

    def count_nonfinite(self, stored: Array) -> int:
        if self.name == "bfloat16":
            return int(np.count_nonzero((stored & np.uint16(0x7F80)) == 0x7F80))
        return int(stored.size - np.count_nonzero(np.isfinite(stored))) if self.is_floating else 0


_READ = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "u1",
}

_LISTED = {
    "complex128": 128,
    "complex64": 64,
    "complex32": 32,
    "float8_e4m3fn": 8,
    "float8_e4m3fnuz": 8,
    "float8_e5m2": 8,
    "float8_e5m2fnuz": 8,
    "float8_e8m0fnu": 8,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
    "float4_e2m1fn": 4,
    "int4": 4,
    "uint4": 4,
    "int2": 2,
    "uint2": 2,
}

NAMES = frozenset(_READ) | frozenset(_LISTED)


def element(name: str, order: str = "<") -> Element:
    """Return the format of a common name, in little (`<`) or big (`>`) endian bytes."""
    if name in _LISTED:
        return Element(name, _LISTED[name], None)
    dtype: np.dtype[Any] = np.dtype(order + _READ[name])
    return Element(name, 8 * dtype.itemsize, dtype)


def unread(name: str, bits: int) -> Element:
    """Return a format that is listed with its tensor and refused when that is loaded, such as text."""
    return Element(name, bits, None)
