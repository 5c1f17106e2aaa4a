"""MessagePack, read where it stands: long runs of bytes stay in the file.

https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import Damaged, TooLarge, shown
from ..limits import ReadLimits
from .content import Content
from .window import Window

_LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Extension:
    """A value of an application's own type: its code and its bytes."""

    code: int
    content: Content


def read_msgpack(content: Content, limits: ReadLimits) -> Any:
    """Return the one value that fills the bytes: dictionaries, lists and plain values; binary data as contents.

    Raises Damaged or TooLarge. Names of maps are text, as they are in every checkpoint.
    """
    reader = _Reader(Window(content, limits.max_values + limits.max_tensors), limits)
    value = reader.value(0)
    if reader.at != reader.end:
        raise Damaged("holds more after its last value")
    return value


class _Reader:
    def __init__(self, window: Window, limits: ReadLimits) -> None:
        self.window = window
        self.at = 0
        self.end = window.size
        self.limits = limits

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise Damaged("is cut off, or holds a value that reaches beyond its end")
        taken = self.window.take(self.at, count)
        self.at += count
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def value(self, depth: int) -> Any:
        self.window.step()
        if depth > self.limits.max_depth:
            raise TooLarge(f"is nested deeper than {self.limits.max_depth} levels")
        code = self.number(1)
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code < 0x90:
            return self.map(code & 0x0F, depth)
        if code < 0xA0:
            return self.array(code & 0x0F, depth)
        if code < 0xC0:
            return self.text(code & 0x1F)
        kind = _KINDS.get(code)
        if kind is None:
            raise Damaged(f"holds the byte 0x{code:02x}, which no value starts with")
        return kind(self, depth)

    def map(self, count: int, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise Damaged("holds a map with a key that is no text")
            if key in entries:
                raise Damaged(f"holds {shown(key)} twice in one map")
            entries[key] = self.value(depth + 1)
        return entries

    def array(self, count: int, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(count)]

    def text(self, count: int) -> str:
        if count > _LONGEST_TEXT:
            raise TooLarge(f"holds a text of {count} bytes; at most {_LONGEST_TEXT} are read")
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("holds a text that is not UTF-8") from None

    def run(self, count: int) -> Content:
        if count > self.end - self.at:
            raise Damaged("is cut off, or holds a value that reaches beyond its end")
        found = self.window.range(self.at, count)
        self.at += count
        return found

    def extension(self, count: int) -> Extension:
        return Extension(struct.unpack(">b", self.take(1))[0], self.run(count))

    def unpacked(self, layout: str, width: int) -> Any:
        return struct.unpack(layout, self.take(width))[0]


_KINDS: dict[int, Callable[[_Reader, int], Any]] = {
    0xC0: lambda reader, depth: None,
    0xC2: lambda reader, depth: False,
    0xC3: lambda reader, depth: True,
    0xC4: lambda reader, depth: reader.run(reader.number(1)),
    0xC5: lambda reader, depth: reader.run(reader.number(2)),
    0xC6: lambda reader, depth: reader.run(reader.number(4)),
    0xC7: lambda reader, depth: reader.extension(reader.number(1)),
    0xC8: lambda reader, depth: reader.extension(reader.number(2)),
    0xC9: lambda reader, depth: reader.extension(reader.number(4)),
    0xCA: lambda reader, depth: reader.unpacked(">f", 4),
    0xCB: lambda reader, depth: reader.unpacked(">d", 8),
    0xCC: lambda reader, depth: reader.number(1),
    0xCD: lambda reader, depth: reader.number(2),
    0xCE: lambda reader, depth: reader.number(4),
    0xCF: lambda reader, depth: reader.number(8),
    0xD0: lambda reader, depth: reader.unpacked(">b", 1),
    0xD1: lambda reader, depth: reader.unpacked(">h", 2),
    0xD2: lambda reader, depth: reader.unpacked(">i", 4),
    0xD3: lambda reader, depth: reader.unpacked(">q", 8),
    0xD4: lambda reader, depth: reader.extension(1),
    0xD5: lambda reader, depth: reader.extension(2),
    0xD6: lambda reader, depth: reader.extension(4),
    0xD7: lambda reader, depth: reader.extension(8),
    0xD8: lambda reader, depth: reader.extension(16),
    0xD9: lambda reader, depth: reader.text(reader.number(1)),
    0xDA: lambda reader, depth: reader.text(reader.number(2)),
    0xDB: lambda reader, depth: reader.text(reader.number(4)),
    0xDC: lambda reader, depth: reader.array(reader.number(2), depth),
    0xDD: lambda reader, depth: reader.array(reader.number(4), depth),
    0xDE: lambda reader, depth: reader.map(reader.number(2), depth),
    0xDF: lambda reader, depth: reader.map(reader.number(4), depth),
}
"""First byte -> what follows it; ranges of first bytes that carry a small number are told apart in `value`."""
