"""Protocol Buffers, read field by field where they stand: a message is a stretch of the file, and nothing is copied.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import Damaged, TooLarge
from .content import Content
from .window import Window

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_LONGEST_TEXT = 10_000
_LONGEST_PACKED = 2**21
_LONGEST_VARINT = 10
_ALL_BITS = 2**64 - 1


class Message(NamedTuple):
    """A message, or any field of bytes, as the stretch [start, end) of a file."""

    window: Window
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def content(self) -> Content:
        return self.window.range(self.start, self.size)

    def data(self, max_bytes: int, what: str) -> bytes:
        """Return the bytes of something small."""
        if self.size > max_bytes:
            raise TooLarge(f"holds {what} of {self.size} bytes; at most {max_bytes} are read")
        return self.window.take(self.start, self.size)

    def text(self) -> str:
        try:
            return self.data(_LONGEST_TEXT, "a name").decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("holds a name that is not UTF-8") from None

    def varints(self) -> list[int]:
        """Return the numbers of a packed field, as signed 64 bits."""
        numbers, number, shift = [], 0, 0
        for byte in self.data(_LONGEST_PACKED, "a list of numbers"):
            number |= (byte & 0x7F) << shift
            shift = shift + 7 if byte >= 0x80 else 0
            if not shift:
                numbers.append(_signed(number & _ALL_BITS))
                number = 0
            if shift >= 7 * _LONGEST_VARINT:
                break
        if shift:
            raise Damaged("is cut off, or holds a number that does not end")
        return numbers


class Field(NamedTuple):
    """One field: its number, and what stands there. Numbers of fixed width are left as their bytes."""

    number: int
    value: int | Message

    def message(self) -> Message:
        if not isinstance(self.value, Message):
            raise Damaged("holds a number where a message belongs")
        return self.value

    def whole(self) -> int:
        if not isinstance(self.value, int):
            raise Damaged("holds a message where a number belongs")
        return _signed(self.value)

    def wholes(self) -> list[int]:
        """Return a repeated number, packed or not."""
        return self.value.varints() if isinstance(self.value, Message) else [self.whole()]


def fields(message: Message) -> Iterator[Field]:
    """Yield every field of a message in its order in the file; all messages of a file together have a bound."""
    window, at, end = message.window, message.start, message.end
    while at < end:
        window.step()
        tag, at = _varint(window, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(window, at, end)
            yield Field(number, value)
            continue
        if kind == _BYTES:
            size, at = _varint(window, at, end)
        elif kind in (_FIXED_32, _FIXED_64):
            size = 4 if kind == _FIXED_32 else 8
        else:
            raise Damaged("holds a field of no known kind")
        if number == 0 or size > end - at:
            raise Damaged("is cut off, or holds a field that reaches beyond its message")
        yield Field(number, Message(window, at, at + size))
        at += size


def _signed(number: int) -> int:
    """Read 64 bits in two's complement."""
    return number - 2**64 if number >= 2**63 else number


def _varint(window: Window, at: int, end: int) -> tuple[int, int]:
    if at < end and (byte := window.byte(at)) < 0x80:  # as most are
        return byte, at + 1
    number = 0
    for index in range(_LONGEST_VARINT):
        if at >= end:
            break
        byte = window.byte(at)
        at += 1
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & _ALL_BITS, at
    raise Damaged("is cut off, or holds a number that does not end")
