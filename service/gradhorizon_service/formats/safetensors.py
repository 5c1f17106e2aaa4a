"""`.safetensors`: named tensors in one block, read without the library, whose header may take gigabytes to hold.

Layout: eight bytes with the header's length (little endian), the header as JSON (name -> dtype, shape, data_offsets),
then the tensors, which must cover the block without a gap or an overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import JsonFault, TensorFault, TooManyValues
from .npy import MAX_AXES
from .strict_json import read_json

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytes | bytearray | memoryview

MAX_HEADER = 2**20
MAX_TENSORS = 10_000

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # widened to float32 below: NumPy has no bfloat16
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "C64": "<c8",
}


BITS = {
    **{name: 8 * np.dtype(code).itemsize for name, code in DTYPES.items()},
    "BOOL": 8,
    "F8_E4M3": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}
"""Every dtype the format knows: its size is checked, whether its numbers are read or not."""


@dataclass(frozen=True)
class Entry:
    """One tensor of the header: its bytes are [begin, end) of the block."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The tensors by name, which together are exactly the block, and the free text beside them."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]


def read_safetensors(data: Buffer) -> dict[str, Array]:
    """Return every tensor by name, as views of `data` (bfloat16 as float32 copies); raises TensorFault."""
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise TensorFault("is no .safetensors file, or is cut off: its header does not fit in it")
    if start > 8 + MAX_HEADER:
        raise TensorFault(f"has a .safetensors header of {start - 8} bytes; at most {MAX_HEADER} are read")
    block = memoryview(data)[start:]
    header = read_header(bytes(data[8:start]), len(block))
    for name, entry in header.entries.items():
        if entry.dtype not in DTYPES:
            raise TensorFault(
                f"holds {_shown(name)} in a dtype that is not read here; one of {', '.join(DTYPES)} is"
            )
    return {name: _tensor(entry, block) for name, entry in header.entries.items()}


def read_header(
    text: bytes, block_bytes: int, max_tensors: int = MAX_TENSORS, max_axes: int = MAX_AXES
) -> Header:
    """Read the header's JSON and hold it against the size of the block that follows; raises TensorFault."""
    try:
        # A tensor is its own value, three fields, two offsets and its axes, most often two.
        tree = read_json(text, 8 * max_tensors)
    except TooManyValues:
        raise TensorFault(f"describes more than {max_tensors} tensors; no more are read") from None
    except JsonFault as fault:
        raise TensorFault(
            f"has a .safetensors header that is no JSON: {fault.path} {fault.message}"
        ) from None
    if not isinstance(tree, dict):
        raise TensorFault("has a .safetensors header that is no JSON object")
    metadata = tree.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise TensorFault("has a .safetensors header whose __metadata__ is not text by name")
    if len(tree) > max_tensors:
        raise TensorFault(f"holds {len(tree)} tensors; at most {max_tensors} are read")
    entries = {name: _entry(name, described, max_axes) for name, described in tree.items()}
    _check_cover(entries, block_bytes)
    return Header(entries, metadata)


def _entry(name: str, described: Any, max_axes: int) -> Entry:
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        raise TensorFault(f"describes {_shown(name)} other than by dtype, shape and data_offsets")
    dtype, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise TensorFault(
            f"holds {_shown(name)} in a dtype that is not read here; one of {', '.join(DTYPES)} is"
        )
    if not _counts(shape) or len(shape) > max_axes:
        raise TensorFault(f"gives {_shown(name)} a shape that is no list of at most {max_axes} whole numbers")
    if not _counts(offsets) or len(offsets) != 2:
        raise TensorFault(f"gives {_shown(name)} data_offsets that are no pair of whole numbers")
    begin, end = offsets
    if 8 * (end - begin) != math.prod(shape) * BITS[dtype]:
        raise TensorFault(f"gives {_shown(name)} data_offsets that do not fit its dtype and shape")
    return Entry(dtype, tuple(shape), begin, end)


def _check_cover(entries: Mapping[str, Entry], block_bytes: int) -> None:
    reached = 0
    for begin, end in sorted((entry.begin, entry.end) for entry in entries.values()):
        if begin != reached:
            raise TensorFault(f"has a gap or an overlap between tensors at byte {reached} of its data")
        reached = end
    if reached != block_bytes:
        raise TensorFault(f"holds {block_bytes} bytes of data where its tensors need {reached}")


def _tensor(entry: Entry, block: memoryview) -> Array:
    array = np.frombuffer(block[entry.begin : entry.end], DTYPES[entry.dtype]).reshape(entry.shape)
    if entry.dtype == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "...")
