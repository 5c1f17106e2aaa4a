"""Runs of bytes of a file that are read when asked for, a piece at a time."""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from ..errors import Damaged, NotRecognised, TooLarge

Buffer = bytes | memoryview

PIECE = 2**20


class File:
    """A regular file, open for reading at any place; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not blocking: opening a pipe would wait for a writer that never comes.
        flags = (
            os.O_RDONLY
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0)
            | getattr(os, "O_CLOEXEC", 0)
        )
        self._stream = os.fdopen(os.open(path, flags), "rb", buffering=0)
        self._lock = threading.Lock()
        status = os.fstat(self._stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            self._stream.close()
            raise NotRecognised("is no regular file")
        self.size = status.st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return exactly these bytes."""
        if offset + count > self.size:
            raise Damaged(f"is cut off: it holds {self.size} bytes and speaks of byte {offset + count}")
        pieces: list[bytes] = []
        with self._lock:
            self._stream.seek(offset)
            while count and (piece := self._stream.read(count)):
                pieces.append(piece)
                count -= len(piece)
        if count:
            raise Damaged("became shorter while it was read")
        return b"".join(pieces)

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Content(Protocol):
    """Bytes somewhere, `size` of them."""

    @property
    def size(self) -> int: ...

    def pieces(self) -> Iterator[Buffer]:
        """Yield all of them in order, never much more than `PIECE` at once."""
        ...

    def part(self, start: int, count: int) -> Content:
        """Return a run of them; the caller has checked that it lies inside."""
        ...


@dataclass(frozen=True)
class FileRange:
    """Bytes that stand in the file as they are."""

    file: File
    offset: int
    size: int

    def pieces(self) -> Iterator[Buffer]:
        for start in range(0, self.size, PIECE):
            yield self.file.read(self.offset + start, min(PIECE, self.size - start))

    def part(self, start: int, count: int) -> FileRange:
        return FileRange(self.file, self.offset + start, count)


@dataclass(frozen=True)
class Held:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self) -> Iterator[Buffer]:
        yield memoryview(self.data)

    def part(self, start: int, count: int) -> Held:
        return Held(self.data[start : start + count])


@dataclass(frozen=True)
class Joined:
    """Contents one after the other."""

    parts: tuple[Content, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def pieces(self) -> Iterator[Buffer]:
        for part in self.parts:
            yield from part.pieces()

    def part(self, start: int, count: int) -> Content:
        return Held(read_all(self)[start : start + count])


@dataclass(frozen=True)
class Inflated:
    """What deflate makes of a run of bytes: `whole` bytes, of which those from `start` are meant."""

    packed: FileRange
    whole: int
    crc: int
    start: int
    size: int

    def pieces(self) -> Iterator[Buffer]:
        """Stop at the first byte that was not announced; a part that ends early is not checked further."""
        reached = 0
        for piece in self._inflated():
            begin, end = max(self.start - reached, 0), self.start + self.size - reached
            reached += len(piece)
            if begin < len(piece) and end > 0:
                yield memoryview(piece)[begin:end]
            if end <= len(piece) and self.start + self.size < self.whole:
                return

    def _inflated(self) -> Iterator[bytes]:
        machine, crc, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, self.whole
        try:
            for packed in self.packed.pieces():
                waiting: Buffer = packed
                while waiting and not machine.eof:
                    piece = machine.decompress(waiting, min(PIECE, left + 1))
                    waiting, crc, left = machine.unconsumed_tail, zlib.crc32(piece, crc), left - len(piece)
                    if left < 0:
                        raise Damaged("holds a compressed member that is longer than it says")
                    if piece:
                        yield piece
        except zlib.error:
            raise Damaged("holds a compressed member that does not decompress") from None
        if left or not machine.eof or crc != self.crc:
            raise Damaged("holds a compressed member that ends early or fails its checksum")

    def part(self, start: int, count: int) -> Inflated:
        return Inflated(self.packed, self.whole, self.crc, self.start + start, count)


def read_all(content: Content, max_bytes: int | None = None, what: str = "a part") -> bytes:
    """Return a whole content."""
    if max_bytes is not None and content.size > max_bytes:
        raise TooLarge(f"has {what} of {content.size} bytes; at most {max_bytes} are read")
    return b"".join(content.pieces())


def first_bytes(content: Content, count: int) -> bytes:
    """Return as many bytes as there are, at most `count`."""
    return read_all(content.part(0, min(count, content.size)))
