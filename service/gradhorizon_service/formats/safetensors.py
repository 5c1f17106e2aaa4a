"""`.safetensors`: named tensors in one block, read without the library, whose header may take gigabytes to hold.

Layout: eight bytes with the header's length (little endian), the header as JSON (name -> dtype, shape, data_offsets),
then the tensors, which must cover the block without a gap or an overlap.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import JsonFault, TensorFault
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


def read_safetensors(data: Buffer) -> dict[str, Array]:
    """Return every tensor by name, as views of `data` (bfloat16 as float32 copies); raises TensorFault."""
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise TensorFault("is no .safetensors file, or is cut off: its header does not fit in it")
    if start > 8 + MAX_HEADER:
        raise TensorFault(f"has a .safetensors header of {start - 8} bytes; at most {MAX_HEADER} are read")
    entries = _entries(bytes(data[8:start]))
    block = memoryview(data)[start:]
    _check_cover(entries, len(block))
    return {name: _tensor(entry, block) for name, entry in entries.items()}


def _entries(header: bytes) -> dict[str, dict[str, Any]]:
    try:
        entries = read_json(header)
    except JsonFault as fault:
        raise TensorFault(
            f"has a .safetensors header that is no JSON: {fault.path} {fault.message}"
        ) from None
    if not isinstance(entries, dict):
        raise TensorFault("has a .safetensors header that is no JSON object")
    entries.pop("__metadata__", None)
    if len(entries) > MAX_TENSORS:
        raise TensorFault(f"holds {len(entries)} tensors; at most {MAX_TENSORS} are read")
    for name, entry in entries.items():
        _check_entry(name, entry)
    return entries


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TensorFault(f"describes {_shown(name)} other than by dtype, shape and data_offsets")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise TensorFault(
            f"holds {_shown(name)} in a dtype that is not read here; one of {', '.join(DTYPES)} is"
        )
    if not _counts(entry["shape"]) or len(entry["shape"]) > MAX_AXES:
        raise TensorFault(f"gives {_shown(name)} a shape that is no list of at most {MAX_AXES} whole numbers")
    if not _counts(entry["data_offsets"]) or len(entry["data_offsets"]) != 2:
        raise TensorFault(f"gives {_shown(name)} data_offsets that are no pair of whole numbers")
    begin, end = entry["data_offsets"]
    if end - begin != math.prod(entry["shape"]) * np.dtype(DTYPES[entry["dtype"]]).itemsize:
        raise TensorFault(f"gives {_shown(name)} data_offsets that do not fit its dtype and shape")


def _check_cover(entries: dict[str, dict[str, Any]], block_bytes: int) -> None:
    reached = 0
    for begin, end in sorted(tuple(entry["data_offsets"]) for entry in entries.values()):
        if begin != reached:
            raise TensorFault(f"has a gap or an overlap between tensors at byte {reached} of its data")
        reached = end
    if reached != block_bytes:
        raise TensorFault(f"holds {block_bytes} bytes of data where its tensors need {reached}")


def _tensor(entry: dict[str, Any], block: memoryview) -> Array:
    begin, end = entry["data_offsets"]
    array = np.frombuffer(block[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "...")
