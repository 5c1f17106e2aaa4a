"""Files on their way to the service: read a piece at a time, from the start at every attempt."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

_PIECE = 2**18

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A path, the bytes themselves, or an open binary file that can be rewound."""


@dataclass(frozen=True)
class Upload:
    """One file: where its bytes are, how many, and what it is called."""

    path: Path | None
    stream: BinaryIO | None
    start: int
    size: int
    name: str | None

    @classmethod
    def of(cls, source: Source, name: str | None = None) -> Upload:
        """Look at a source; raises OSError where a path cannot be read, TypeError for anything else."""
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            return cls(path, None, 0, path.stat().st_size, path.name if name is None else name)
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            return cls(None, io.BytesIO(data), 0, len(data), name)
        if not hasattr(source, "seekable") or not source.seekable():
            raise TypeError(
                f"an upload is a path, bytes or a seekable binary file, not a {type(source).__name__}"
            )
        start = source.tell()
        size = source.seek(0, os.SEEK_END) - start
        return cls(None, source, start, size, name)

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes in order."""
        if self.path is None:
            assert self.stream is not None
            self.stream.seek(self.start)
            yield from _read(self.stream)
            return
        with self.path.open("rb") as stream:
            yield from _read(stream)

    async def pieces_async(self) -> AsyncIterator[bytes]:
        """Yield all bytes in order; reading a piece of a local file takes less than a turn of the loop."""
        for piece in self.pieces():
            yield piece


def _read(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
