"""Checkpoint files made by hand, byte by byte, so that they can be wrong in every way."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# safetensors and NumPy


def safetensors(header: Any, block: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + block


def entry(begin: int = 0, end: int = 8, dtype: str = "F64", shape: Sequence[int] = (1,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    at = offset % len(data)
    return data[:at] + value + data[at + len(value) :]


# PyTorch: a pickle written without the classes it names


@dataclass(frozen=True)
class Named:
    """A global of the pickle."""

    module: str
    name: str


@dataclass(frozen=True)
class Called:
    """The result of calling a global."""

    target: Named
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Referred:
    """Something outside the pickle."""

    reference: Any


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
    match value:
        case Named(module, name):
            return f"c{module}\n{name}\n".encode()
        case Called(target, arguments):
            return _pickled(target) + _pickled(arguments) + b"R"
        case Referred(reference):
            return _pickled(reference) + b"Q"
        case bool():
            return b"\x88" if value else b"\x89"
        case None:
            return b"N"
        case int():
            data = value.to_bytes(10, "little", signed=True)
            return b"\x8a\x0a" + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(_pickled, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_pickled, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_pickled(part) for item in value.items() for part in item) + b"u"
    raise AssertionError(value)


ORDERED_DICT = Named("collections", "OrderedDict")
REBUILD = Named("torch._utils", "_rebuild_tensor_v2")


def storage(key: str = "0", count: int = 6, kind: str = "FloatStorage") -> Referred:
    return Referred(("storage", Named("torch", kind), key, "cpu", count))


def window(
    shape: Any = (2, 3), strides: Any = (3, 1), offset: Any = 0, where: Any = None, rest: tuple[Any, ...] = ()
) -> Called:
    """A tensor as PyTorch describes it."""
    arguments = (where or storage(), offset, shape, strides, False, Called(ORDERED_DICT, ()), *rest)
    return Called(REBUILD, arguments)


SIX = np.arange(6, dtype="<f4")


def torch_file(
    tree: Any,
    storages: Mapping[str, bytes] | None = None,
    more: Mapping[str, bytes] | None = None,
    **options: Any,
) -> bytes:
    """A `.pt` of this tree; one storage of six float32 numbers unless others are given."""
    text = tree if isinstance(tree, bytes) else pickled(tree)
    numbers = {"0": SIX.tobytes()} if storages is None else storages
    members = {
        "m/data.pkl": text,
        **{f"m/data/{key}": data for key, data in numbers.items()},
        "m/version": b"3\n",
    }
    return zipped({**members, **(more or {})}, **options)


# ONNX: protobuf, a field at a time


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_tensor(name: str, array: np.ndarray[Any, Any], code: int = 1, data: bytes | None = None) -> bytes:
    """A TensorProto with its numbers as raw bytes, or as the fields given in `data`."""
    dims = b"".join(field(1, length) for length in array.shape)
    return dims + field(2, code) + field(8, name) + (field(9, array.tobytes()) if data is None else data)


def attribute(name: str, **fields: Any) -> bytes:
    numbers = {"i": 3, "s": 4, "t": 5, "g": 6, "floats": 7, "ints": 8, "strings": 9}
    out = field(1, name)
    for word, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, float):
                out += varint(numbers[word] << 3 | 5) + struct.pack("<f", one)
            else:
                out += field(numbers[word], one)
    return out


def onnx_node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes, name: str = ""
) -> bytes:
    return (
        b"".join(field(1, one) for one in inputs)
        + b"".join(field(2, one) for one in outputs)
        + field(3, name)
        + field(4, operator)
        + b"".join(field(5, one) for one in attributes)
    )


def onnx_graph(nodes: Sequence[bytes] = (), tensors: Sequence[bytes] = ()) -> bytes:
    return b"".join(field(1, node) for node in nodes) + b"".join(field(5, tensor) for tensor in tensors)


def onnx_file(graph: bytes) -> bytes:
    return field(1, 9) + field(2, "hand") + field(7, graph) + field(8, field(2, 22))


# Flax, in msgpack


@dataclass(frozen=True)
class Extended:
    """A msgpack extension type."""

    code: int
    data: bytes


def msgpacked(value: Any) -> bytes:
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return struct.pack(">Bq", 0xD3, value)
        case float():
            return struct.pack(">Bd", 0xCB, value)
        case str():
            return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
        case bytes():
            return struct.pack(">BI", 0xC6, len(value)) + value
        case Extended(code, data):
            return struct.pack(">BIb", 0xC9, len(data), code) + data
        case list() | tuple():
            return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(msgpacked, value))
        case dict():
            parts = b"".join(msgpacked(part) for item in value.items() for part in item)
            return struct.pack(">BI", 0xDF, len(value)) + parts
    raise AssertionError(value)


def flax_array(
    array: np.ndarray[Any, Any], name: str | None = None, shape: Any = None, code: int = 1
) -> Extended:
    described = [list(array.shape) if shape is None else shape, name or array.dtype.name, array.tobytes()]
    return Extended(code, msgpacked(described))
