"""One file on its way in: written to a folder of its own, hashed as it comes, and moved to its place as a whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from .errors import ArtifactTooLarge, NoRoom
from .locks import lock

CONTENT = "content"
DESCRIPTION = "artifact.json"


class Room(Protocol):
    """Where the bytes of uploads in flight are counted."""

    def take(self, count: int) -> None:
        """Count bytes in; raises NoRoom."""
        ...

    def give_back(self, count: int) -> None:
        """Count bytes out."""
        ...


class Incoming:
    """An upload. Every method blocks and may be called from any thread, one at a time; `discard` ends it.

    The folder lies on the file system of the store, so that moving it there is one step: an artifact is there with its
    description, or not at all.
    """

    def __init__(self, parent: Path, max_bytes: int, room: Room) -> None:
        self._max_bytes = max_bytes
        self._room = room
        self._turn = threading.Lock()  # a client that leaves must not have its file closed under a write
        self._hash = hashlib.sha256()
        self.size = 0
        self._folder = Path(tempfile.mkdtemp(dir=parent))
        self._file = os.open(
            self.content, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600
        )
        lock(self._file)
        self._open = True

    @property
    def content(self) -> Path:
        """Where the bytes are until they are published."""
        return self._folder / CONTENT

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far."""
        return self._hash.hexdigest()

    def write(self, piece: bytes) -> None:
        """Append bytes. Raises ArtifactTooLarge or NoRoom."""
        with self._while_open():
            if self.size + len(piece) > self._max_bytes:
                raise ArtifactTooLarge(self._max_bytes)
            self._room.take(len(piece))
            self.size += len(piece)
            self._hash.update(piece)
            left = memoryview(piece)
            while left:
                left = left[_on_disk(os.write, self._file, left) :]

    def finish(self) -> str:
        """Wait until the bytes are on disk; return their hash. Raises NoRoom."""
        with self._while_open():
            _on_disk(os.fsync, self._file)
        return self.sha256

    def publish(self, description: bytes, place: Path) -> bool:
        """Move the file and its description to their place; False where there is one already. Raises NoRoom."""
        with self._while_open():
            _on_disk(_write_synced, self._folder / DESCRIPTION, description)
            _sync_folder(self._folder)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                self._folder.rename(place)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
            _sync_folder(place.parent)
            return True

    def discard(self) -> None:
        """Close the file and remove what was not published; may be called again."""
        with self._turn:
            if not self._open:
                return
            self._open = False
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._file)  # after that: the lock says that the folder is somebody's
            self._room.give_back(self.size)

    @contextlib.contextmanager
    def _while_open(self) -> Iterator[None]:
        """Take a turn. A thread that comes too late must not write: the descriptor may be another file's by now."""
        with self._turn:
            if not self._open:
                raise ValueError("the upload was discarded")
            yield


def _on_disk(function: Callable[..., int | None], *arguments: object) -> int:
    try:
        return function(*arguments) or 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoom(
            "the disk that holds the artifacts is full; send the file again later", "artifacts_folder"
        ) from None


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(path: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
