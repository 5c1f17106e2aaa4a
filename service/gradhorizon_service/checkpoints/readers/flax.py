"""Flax's msgpack: a tree of maps whose leaves are arrays in an extension type. Names are joined by slashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..checkpoint import Read
from ..element import NAMES, element
from ..errors import Damaged, Unsupported, shown
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Tensor
from ..wire.content import Content, File, FileRange, Joined
from ..wire.msgpack import Extension, read_msgpack
from ._checks import by_name, checked_shape, role_of

_NDARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"

_Parts = tuple[str, ...]


def starts_as_flax(head: bytes) -> bool:
    """Whether a map comes first, and text as its first key."""
    at = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0)
    return 0 < at < len(head) and (0xA0 <= head[at] <= 0xBF or 0xD9 <= head[at] <= 0xDB)


def read_flax(file: File, session: Session) -> Read:
    """Read the arrays of a tree that Flax wrote; single numbers are arrays without axes."""
    limits = session.limits
    tree = read_msgpack(FileRange(file, 0, file.size), limits)
    leaves = list(_leaves(tree, ()))
    tensors = (_tensor(parts, leaf, limits) for parts, leaf in leaves if _is_array(leaf))
    collected = by_name(tensors, limits)
    if not collected:
        raise Unsupported("is msgpack without a single array in it, so no Flax checkpoint")
    values = {
        "/".join(parts): leaf
        for parts, leaf in leaves
        if not _is_array(leaf) and not isinstance(leaf, FileRange)
    }
    return Read("flax", collected, {"values": values})


def _leaves(value: Any, parts: _Parts) -> Iterator[tuple[_Parts, Any]]:
    if isinstance(value, Extension) and value.code == _COMPLEX:
        raise Unsupported(f"holds a complex number at {shown('/'.join(parts))}; weights are real")
    if isinstance(value, dict) and _CHUNKED not in value:
        for name, item in value.items():
            yield from _leaves(item, (*parts, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*parts, str(index)))
    else:
        yield parts, value


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (Extension, dict))


def _tensor(parts: _Parts, leaf: Extension | dict[str, Any], limits: ReadLimits) -> Tensor:
    name = "/".join(parts)
    shape, dtype, content = (
        _chunked(name, leaf, limits) if isinstance(leaf, dict) else _array(name, leaf, limits)
    )
    tensor = Tensor(
        name, dtype, shape, element(dtype), content, limits, role=role_of(parts[0] if parts else "")
    )
    if tensor.nbytes != content.size:
        raise Damaged(
            f"gives {shown(name)} the shape {list(shape)} of {dtype}, that is {tensor.nbytes} bytes, "
            f"and holds {content.size}"
        )
    return tensor


def _array(name: str, leaf: Extension, limits: ReadLimits) -> tuple[tuple[int, ...], str, Content]:
    if leaf.code not in (_NDARRAY, _SCALAR):
        raise Unsupported(
            f"holds {shown(name)} in the msgpack extension type {leaf.code}, which Flax does not write"
        )
    described = read_msgpack(leaf.content, limits)
    if not isinstance(described, list) or len(described) != 3 or not isinstance(described[0], list):
        raise Damaged(f"describes {shown(name)} other than by shape, dtype and bytes")
    shape, dtype, content = described
    if not isinstance(content, FileRange):
        raise Damaged(f"describes {shown(name)} without its bytes")
    if dtype not in NAMES:
        raise Unsupported(f"holds {shown(name)} as {shown(dtype)}, which is not read here")
    return checked_shape(name, shape, limits), str(dtype), content


def _chunked(name: str, leaf: dict[str, Any], limits: ReadLimits) -> tuple[tuple[int, ...], str, Content]:
    """Put a large array together: Flax cuts it into flat pieces, numbered from zero."""
    shape, chunks = _numbered(name, leaf.get("shape")), _numbered(name, leaf.get("chunks"))
    if not chunks or not all(isinstance(chunk, Extension) for chunk in chunks):
        raise Damaged(f"holds {shown(name)} in pieces that are no arrays")
    pieces = [_array(name, chunk, limits) for chunk in chunks]
    if len({dtype for _, dtype, _ in pieces}) != 1:
        raise Damaged(f"holds {shown(name)} in pieces of several dtypes")
    content = Joined(tuple(content for _, _, content in pieces))
    return checked_shape(name, shape, limits), pieces[0][1], content


def _numbered(name: str, entries: Any) -> list[Any]:
    if not isinstance(entries, dict) or list(entries) != [str(index) for index in range(len(entries))]:
        raise Damaged(f"holds {shown(name)} in pieces that are not numbered")
    return list(entries.values())
