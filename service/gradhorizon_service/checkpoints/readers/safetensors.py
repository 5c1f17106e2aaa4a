"""`.safetensors`: the header is read, the tensors stay in the file."""

from __future__ import annotations

from ...formats.safetensors import Entry, read_header
from ..checkpoint import Read
from ..element import Element, element
from ..errors import Damaged, TooLarge
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Tensor
from ..wire.content import File, FileRange
from ._checks import as_damaged, by_name, checked_shape

_ELEMENTS: dict[str, Element] = {
    "F64": element("float64"),
    "F32": element("float32"),
    "F16": element("float16"),
    "BF16": element("bfloat16"),
    "I64": element("int64"),
    "I32": element("int32"),
    "I16": element("int16"),
    "I8": element("int8"),
    "U64": element("uint64"),
    "U32": element("uint32"),
    "U16": element("uint16"),
    "U8": element("uint8"),
    "BOOL": element("bool"),
    "C64": element("complex64"),
    "F8_E4M3": element("float8_e4m3fn"),
    "F8_E4M3FNUZ": element("float8_e4m3fnuz"),
    "F8_E5M2": element("float8_e5m2"),
    "F8_E5M2FNUZ": element("float8_e5m2fnuz"),
    "F8_E8M0": element("float8_e8m0fnu"),
    "F6_E2M3": element("float6_e2m3fn"),
    "F6_E3M2": element("float6_e3m2fn"),
    "F4": element("float4_e2m1fn"),
}


def starts_as_safetensors(head: bytes) -> bool:
    """Whether a length and the brace of a JSON object come first; blanks may stand before it."""
    return len(head) > 8 and head[8:].lstrip(b" ").startswith(b"{")


def read_safetensors(file: File, session: Session) -> Read:
    """Read the header; every byte of the file must belong to it or to exactly one tensor."""
    limits = session.limits
    size = int.from_bytes(file.read(0, 8), "little")
    if size > file.size - 8:
        raise Damaged(
            f"is cut off, or no .safetensors file: it announces a header of {size} bytes and has {file.size}"
        )
    if size > limits.max_header_bytes:
        raise TooLarge(f"has a header of {size} bytes; at most {limits.max_header_bytes} are read")
    block = FileRange(file, 8 + size, file.size - 8 - size)
    with as_damaged():
        header = read_header(file.read(8, size), block.size, limits.max_tensors, limits.max_axes)
    tensors = (_tensor(name, entry, block, limits) for name, entry in header.entries.items())
    return Read("safetensors", by_name(tensors, limits), {"metadata": dict(header.metadata)})


def _tensor(name: str, entry: Entry, block: FileRange, limits: ReadLimits) -> Tensor:
    content = block.part(entry.begin, entry.end - entry.begin)
    return Tensor(
        name, entry.dtype, checked_shape(name, entry.shape, limits), _ELEMENTS[entry.dtype], content, limits
    )
