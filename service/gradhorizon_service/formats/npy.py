"""`.npy`: one array. The header is checked against the bytes that are there before anything is allocated."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import TensorFault

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytes | bytearray | memoryview

MAGIC = b"\x93NUMPY"
MAX_HEADER = 4096
"""Bytes; NumPy writes 118 for every array of numbers."""
HEAD = MAX_HEADER + 12
"""Bytes that hold any header we read."""
MAX_AXES = 8

_DESCRIPTION = re.compile(r"[<>|=]?([fiuc])(\d{1,2})")
_SIZES = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "c": (8, 16)}


def read_npy(data: Buffer) -> Array:
    """Return the array as a view of `data`, in its own dtype and byte order; raises TensorFault.

    Accepted: real, integer and complex numbers of at most 64 bits a component, and at most eight axes.
    """
    header = read_header(bytes(data[:HEAD]))
    dtype, shape = _dtype(header.description), header.shape
    if len(shape) > MAX_AXES:
        raise TensorFault(f"has {len(shape)} axes; at most {MAX_AXES} mean anything here")
    needed, there = math.prod(shape) * dtype.itemsize, len(data) - header.start
    if needed != there:
        raise TensorFault(f"says shape {list(shape)} of {dtype}, that is {needed} bytes, and holds {there}")
    flat: Array = np.frombuffer(data, dtype, offset=header.start)
    return flat.reshape(shape, order="F" if header.fortran_order else "C")


@dataclass(frozen=True)
class Header:
    """What a `.npy` says of its array, and the byte its numbers start at. A structured dtype is a list."""

    start: int
    description: Any
    shape: tuple[int, ...]
    fortran_order: bool


def read_header(head: bytes) -> Header:
    """Read the header out of the first `HEAD` bytes of a `.npy`; raises TensorFault."""
    if not head.startswith(MAGIC):
        raise TensorFault("is no .npy file: it does not start as one; write it with numpy.save")
    if head[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise TensorFault("has a .npy version other than 1.0 and 2.0, which numbers never need")
    width = 2 if head[6] == 1 else 4
    start = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    if start > MAX_HEADER:
        raise TensorFault(f"has a .npy header of {start} bytes; at most {MAX_HEADER} are read")
    fields = _fields(head[8 + width : start])
    return Header(start, fields["descr"], _shape(fields["shape"]), fields["fortran_order"])


def _fields(header: bytes) -> dict[str, Any]:
    # A backslash is never needed, and makes Python's own parser warn.
    if b"\\" in header:
        raise TensorFault("has a .npy header with a backslash")
    try:
        fields = ast.literal_eval(header.decode("ascii").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise TensorFault("has a .npy header that is no dictionary of plain values") from None
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise TensorFault("has a .npy header without exactly descr, fortran_order and shape")
    if not isinstance(fields["fortran_order"], bool):
        raise TensorFault("has a .npy header whose fortran_order is neither True nor False")
    return fields


def _dtype(description: Any) -> np.dtype[Any]:
    match = _DESCRIPTION.fullmatch(description) if isinstance(description, str) else None
    if match is None or int(match[2]) not in _SIZES[match[1]]:
        shown = (
            repr(description)
            if isinstance(description, str) and len(description) < 20
            else "a structured dtype"
        )
        raise TensorFault(
            f"holds {shown}; numbers only: float16 to float64, integers, or complex for eigenvalues"
        )
    dtype: np.dtype[Any] = np.dtype(description)
    return dtype


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise TensorFault("has a .npy header whose shape is no tuple of whole numbers")
    return shape
