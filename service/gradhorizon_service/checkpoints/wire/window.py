"""Small reads from something large, through one block in memory."""

from __future__ import annotations

from ..errors import Damaged, TooLarge
from .content import Content, read_all

_BLOCK = 2**12


class Window:
    """The bytes of a content by position; what is read in order costs one read of the file a block.

    `steps` is for readers to bound how much they take apart.
    """

    def __init__(self, content: Content, max_steps: int) -> None:
        self.content = content
        self.size = content.size
        self._max_steps = max_steps
        self._steps = 0
        self._start = 0
        self._block = b""

    def step(self) -> None:
        """Count one thing that was taken apart; raises TooLarge when there are too many."""
        self._steps += 1
        if self._steps > self._max_steps:
            raise TooLarge(f"holds more than {self._max_steps} fields; no more are read")

    def byte(self, at: int) -> int:
        offset = at - self._start
        if 0 <= offset < len(self._block):
            return self._block[offset]
        return self.take(at, 1)[0]

    def take(self, at: int, count: int) -> bytes:
        """Return exactly these bytes; raises Damaged beyond the end."""
        offset = at - self._start
        if offset >= 0 and offset + count <= len(self._block):
            return self._block[offset : offset + count]
        if count > _BLOCK:
            return read_all(self.range(at, count))
        self.range(at, count)
        self._start, self._block = at, read_all(self.content.part(at, min(_BLOCK, self.size - at)))
        return self._block[:count]

    def range(self, at: int, count: int) -> Content:
        """Return a run of bytes without reading it."""
        if at < 0 or count < 0 or at + count > self.size:
            raise Damaged(f"is cut off: it holds {self.size} bytes and speaks of byte {at + count}")
        return self.content.part(at, count)
