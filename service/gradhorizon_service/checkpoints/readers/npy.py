"""`.npy` and `.npz`: NumPy's own files. Pickled objects are refused, whatever else is no number is listed."""

from __future__ import annotations

import re
from typing import Any

from ...formats.npy import HEAD, read_header
from ..checkpoint import Read
from ..element import Element, element, unread
from ..errors import Damaged, Unsafe, shown
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Tensor
from ..wire.archive import Archive
from ..wire.content import Content, File, FileRange, first_bytes
from ._checks import as_damaged, by_name, checked_shape

_PLAIN = re.compile(r"([<>|=]?)([fiubcSUVmM])(\d{1,9})(\[\w+\])?")
_NUMBERS = {
    ("f", 8): "float64",
    ("f", 4): "float32",
    ("f", 2): "float16",
    ("i", 8): "int64",
    ("i", 4): "int32",
    ("i", 2): "int16",
    ("i", 1): "int8",
    ("u", 8): "uint64",
    ("u", 4): "uint32",
    ("u", 2): "uint16",
    ("u", 1): "uint8",
    ("b", 1): "bool",
    ("c", 8): "complex64",
    ("c", 16): "complex128",
}


def read_npy(file: File, session: Session) -> Read:
    """Read one array; it has no name of its own and is called `array`."""
    tensor = _tensor("array", FileRange(file, 0, file.size), session.limits)
    return Read("npy", by_name([tensor], session.limits))


def read_npz(archive: Archive, session: Session) -> Read:
    """Read the header of every member; the name of an array is the member's, without `.npy`."""
    limits = session.limits
    tensors = (
        _tensor(name.removesuffix(".npy"), content, limits) for name, content in archive.members.items()
    )
    return Read("npz", by_name(tensors, limits))


def _tensor(name: str, content: Content, limits: ReadLimits) -> Tensor:
    with as_damaged("" if name == "array" else f"holds {shown(name)}, which "):
        header = read_header(first_bytes(content, HEAD))
    shape = checked_shape(name, header.shape, limits)
    kind = _element(name, header.description)
    tensor = Tensor(
        name=name,
        dtype=kind.name,
        shape=shape,
        element=kind,
        content=content.part(header.start, content.size - header.start),
        limits=limits,
        strides=_column_major(shape) if header.fortran_order and len(shape) > 1 else None,
    )
    if tensor.nbytes != tensor.content.size:
        raise Damaged(
            f"gives {shown(name)} the shape {list(shape)} of {kind.name}, that is {tensor.nbytes} bytes, "
            f"and holds {tensor.content.size}"
        )
    return tensor


def _element(name: str, description: Any) -> Element:
    match = _PLAIN.fullmatch(description) if isinstance(description, str) else None
    if match is None:
        if isinstance(description, str) and description.endswith("O"):
            raise Unsafe(
                f"holds {shown(name)} as pickled Python objects, which are never loaded; save numbers"
            )
        raise Damaged(f"holds {shown(name)} as {shown(description)}, which is no dtype of numbers or text")
    order, kind, size = match[1], match[2], int(match[3])
    if (kind, size) in _NUMBERS:
        return element(_NUMBERS[kind, size], ">" if order == ">" else "<")
    return unread(description, 32 * size if kind == "U" else 8 * size)


def _column_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for length in shape:
        strides.append(step)
        step *= length
    return tuple(strides)
