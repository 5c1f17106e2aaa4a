"""HDF5 files (`.h5`, `.weights.h5`): their datasets by path, and the layers a Keras configuration in them speaks of."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checkpoint import Read
from ..element import Element, element, unread
from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Tensor
from ..wire.archive import MAX_RATIO
from ..wire.content import Buffer, Content, File, FileRange, Held, read_all
from ..wire.hdf5 import (
    DATASPACE,
    DATATYPE,
    ENUMERATION,
    EXTERNAL,
    FILTERS,
    FIXED,
    FLOATING,
    LAYOUT,
    OPAQUE,
    Datatype,
    Hdf5,
    Header,
    Layout,
    datatype,
    filters_of,
    layout_of,
    shape_of,
)  # fmt: skip
from ..wire.window import Window
from ._checks import by_name, checked_shape, parsed_json, role_of
from ._keras_layers import declared_layers

_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3
_FILTERS = {_DEFLATE: "deflate", _SHUFFLE: "shuffle", _FLETCHER: "fletcher32"}
_MAX_STEPS = 200_000
_LONGEST_NAME = 1000

_FLOATS = {
    (0, 64, 52, 11, 0, 52, 1023): "float64",
    (0, 32, 23, 8, 0, 23, 127): "float32",
    (0, 16, 10, 5, 0, 10, 15): "float16",
    (0, 16, 7, 8, 0, 7, 127): "bfloat16",
}
"""Bit offset, bits, where the exponent is and its bits, the same of the mantissa, and the exponent's bias."""


def read_hdf5(file: File, session: Session) -> Read:
    """Read a Keras model or weights in HDF5, or any other file of datasets."""
    return read_datasets(FileRange(file, 0, file.size), session)


def read_datasets(content: Content, session: Session, config: Any = None) -> Read:
    """Read HDF5 that is a file or a member of one; a Keras configuration may come from elsewhere."""
    limits = session.limits
    walk = _Walk(Hdf5(Window(content, _MAX_STEPS)), limits)
    root = walk.file.header(walk.file.root)
    walk.visit(root, "", 0)
    attributes = _root_attributes(walk.file, root, limits)
    config = config if config is not None else attributes.pop("model_config", None)
    tensors = by_name(walk.tensors, limits)
    layers = declared_layers(config, list(tensors), walk.names)
    return Read("hdf5", tensors, {**attributes, "names": walk.names}, layers)


@dataclass
class _Walk:
    """Goes through all groups once."""

    file: Hdf5
    limits: ReadLimits
    tensors: list[Tensor] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def visit(self, group: Header, path: str, depth: int) -> None:
        if depth > self.limits.max_depth:
            raise TooLarge(f"has groups nested deeper than {self.limits.max_depth} levels")
        self.seen.add(group.address)
        for name, address in self.file.links(group):
            place = f"{path}/{name}" if path else name
            if len(place) > _LONGEST_NAME:
                raise TooLarge(f"holds a name of more than {_LONGEST_NAME} characters, {shown(place)}")
            if address in self.seen:  # a group inside itself never ends
                raise Unsupported(f"holds {shown(place)} under two names")
            self.seen.add(address)
            inner = self.file.header(address)
            if inner.is_group:
                self.visit(inner, place, depth + 1)
            elif LAYOUT in inner.messages:
                self.tensors.append(_tensor(self.file, inner, place, self.limits))
        if path.endswith("vars"):  # Keras notes here what the layer is called in its configuration
            called = self.file.text(group, "name", self.limits.max_header_bytes)
            if called:
                self.names[path.removesuffix("vars").removesuffix("/")] = called


def _tensor(file: Hdf5, dataset: Header, name: str, limits: ReadLimits) -> Tensor:
    if EXTERNAL in dataset.messages:
        raise Unsafe(f"keeps the numbers of {shown(name)} in another file, which is never opened")
    space, kind_of, place = (dataset.one(kind) for kind in (DATASPACE, DATATYPE, LAYOUT))
    if space is None or kind_of is None or place is None:
        raise Damaged(f"holds {shown(name)} without its shape or type")
    filters = filters_of(dataset.one(FILTERS) or b"\2\0")
    for code in filters:
        if code not in _FILTERS:
            raise Unsupported(
                f"holds {shown(name)} behind filter {code}; read are {', '.join(_FILTERS.values())}, or none"
            )
    lengths = shape_of(space)
    layout = layout_of(place, file.window)
    kind = _element(file, dataset, datatype(kind_of), limits)
    if lengths is None or kind.dtype is None:
        return Tensor(name, kind.name, lengths or (0,), unread(kind.name, 0), Held(b""), limits)
    shape = checked_shape(name, lengths, limits)
    content = _content(file, name, layout, shape, kind, filters, limits)
    return Tensor(name, kind.name, shape, kind, content, limits, role=role_of(name.partition("/")[0]))


def _content(
    file: Hdf5,
    name: str,
    layout: Layout,
    shape: tuple[int, ...],
    kind: Element,
    filters: list[int],
    limits: ReadLimits,
) -> Content:
    size = kind.bytes_for(math.prod(shape))
    if layout.chunk:
        return _chunks(file, name, layout, shape, kind, filters, limits)
    if layout.content is None and not size:
        return Held(b"")
    if layout.content is None or layout.content.size != size:
        there = layout.content.size if layout.content else 0
        raise Damaged(f"gives {shown(name)} the shape {list(shape)}, that is {size} bytes, and holds {there}")
    return layout.content


def _chunks(
    file: Hdf5,
    name: str,
    layout: Layout,
    shape: tuple[int, ...],
    kind: Element,
    filters: list[int],
    limits: ReadLimits,
) -> Content:
    """Look up the chunks of a dataset: each stands somewhere in the file, at its place in the shape."""
    chunk, width = layout.chunk[:-1], kind.bits // 8
    whole, size = math.prod(layout.chunk), kind.bytes_for(math.prod(shape))
    if len(chunk) != len(shape) or layout.chunk[-1] != width or not whole:
        raise Damaged(f"holds {shown(name)} in chunks that do not fit its shape")
    if max(size, whole) > limits.max_inflated_bytes:
        raise TooLarge(
            f"holds {shown(name)} in chunks of {size} bytes; at most {limits.max_inflated_bytes} are read"
        )
    places: dict[tuple[int, ...], Content] = {}
    if size:
        for key, address in file.leaves(layout.tree, 1, 8 + 8 * len(layout.chunk)):
            stored, mask = struct.unpack_from("<2I", key)
            corner = struct.unpack_from(f"<{len(shape)}Q", key, 8)
            fits = all(
                at % step == 0 and at < length for at, step, length in zip(corner, chunk, shape, strict=True)
            )
            if mask or corner in places or not fits:
                raise Damaged(f"holds {shown(name)} in chunks that do not fit its shape")
            places[corner] = file.window.range(address, stored)
    needed = math.prod(-(-length // step) for length, step in zip(shape, chunk, strict=True))
    if len(places) != needed:
        raise Damaged(f"holds {len(places)} of the {needed} chunks of {shown(name)}")
    if needed * whole > MAX_RATIO * max(sum(place.size for place in places.values()), 2**14):
        raise TooLarge(f"holds {shown(name)} compressed; it would grow more than {MAX_RATIO} times")
    return _Chunked(places, chunk, shape, width, tuple(filters))


@dataclass(frozen=True)
class _Chunked:
    """The bytes of a dataset in chunks; they are put together at once, for chunks cut across rows."""

    places: dict[tuple[int, ...], Content]
    chunk: tuple[int, ...]
    shape: tuple[int, ...]
    width: int
    filters: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.width

    def pieces(self) -> Iterator[Buffer]:
        whole = np.empty((*self.shape, self.width), np.uint8)
        for corner, place in self.places.items():
            data = np.frombuffer(self._unfiltered(read_all(place)), np.uint8).reshape(*self.chunk, self.width)
            inside = [
                slice(at, min(at + step, length))
                for at, step, length in zip(corner, self.chunk, self.shape, strict=True)
            ]
            whole[tuple(inside)] = data[tuple(slice(one.stop - one.start) for one in inside)]
        yield whole.reshape(-1).data

    def _unfiltered(self, data: bytes) -> bytes:
        needed = math.prod(self.chunk) * self.width
        for code in reversed(self.filters):
            if code == _FLETCHER:
                data = data[:-4]  # a checksum
            elif code == _DEFLATE:
                data = _inflated(data, needed + 4)
            elif len(data) == needed:  # shuffled: first all first bytes, then all second bytes
                data = np.frombuffer(data, np.uint8).reshape(self.width, -1).T.tobytes()
        if len(data) != needed:
            raise Damaged("is an HDF5 file with a chunk of another size than it says")
        return data

    def part(self, start: int, count: int) -> Content:
        return Held(read_all(self)[start : start + count])


def _inflated(data: bytes, max_bytes: int) -> bytes:
    machine = zlib.decompressobj()
    try:
        return machine.decompress(data, max_bytes)
    except zlib.error:
        raise Damaged("is an HDF5 file with a chunk that does not decompress") from None


def _element(file: Hdf5, dataset: Header, kind: Datatype, limits: ReadLimits) -> Element:
    name: str | None = _number(kind)
    if name is None and kind.kind == OPAQUE and kind.size == 2:
        name = "bfloat16" if file.text(dataset, "dtype", limits.max_header_bytes) == "bfloat16" else None
    if name is None:
        return unread(_CLASSES.get(kind.kind, f"class {kind.kind}"), 0)
    return element(name, kind.order if kind.kind in (FIXED, FLOATING) else "<")


def _number(kind: Datatype) -> str | None:
    """Return the common name of a type whose bits are those of a plain number."""
    if kind.kind == FLOATING and len(kind.details) >= 12 and not kind.bits & 0x40:
        name = _FLOATS.get(struct.unpack_from("<2H4BI", kind.details))
        return name if name and element(name).bits == 8 * kind.size else None
    if kind.kind == FIXED and kind.size in (1, 2, 4, 8):
        plain = kind.details[:4] == struct.pack("<2H", 0, 8 * kind.size)
        return f"{'int' if kind.bits & 8 else 'uint'}{8 * kind.size}" if plain else None
    if kind.kind == ENUMERATION and kind.size == 1 and b"FALSE\0" in kind.details:
        return "bool"
    return None


_CLASSES = {FIXED: "integer", FLOATING: "float", 3: "text", 4: "bit field", OPAQUE: "opaque", 6: "compound",
            7: "reference", ENUMERATION: "enumeration", 9: "text", 10: "array"}  # fmt: skip


def _root_attributes(file: Hdf5, root: Header, limits: ReadLimits) -> dict[str, Any]:
    """Return what Keras says at the top of a file: versions, and the configuration of a whole model."""
    found: dict[str, Any] = {}
    for name in ("keras_version", "backend", "model_config"):
        text = file.text(root, name, limits.max_header_bytes)
        if text is not None:
            found[name] = text
    if "model_config" in found:
        found["model_config"] = parsed_json(found["model_config"].encode(), "a model_config", limits)
    return found
