"""What belongs to one open checkpoint: its limits and everything that has to be closed with it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

from .errors import TooLarge
from .limits import ReadLimits
from .wire.content import File


class Closable(Protocol):
    """Something to be closed at the end."""

    def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=Closable)


class Session:
    """Opens the files of one checkpoint and closes them together."""

    def __init__(self, limits: ReadLimits) -> None:
        self.limits = limits
        self._stack = ExitStack()
        self._bytes = 0

    def open(self, path: Path) -> File:
        """Open one more file; all of them together are bounded."""
        file = self.keep(File(path))
        self._bytes += file.size
        if self._bytes > self.limits.max_file_bytes:
            raise TooLarge(f"is {self._bytes} bytes long; at most {self.limits.max_file_bytes} are read")
        return file

    def keep(self, resource: _Closable) -> _Closable:
        self._stack.callback(resource.close)
        return resource

    def close(self) -> None:
        self._stack.close()
