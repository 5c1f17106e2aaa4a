"""A folder of artifacts, each under its hash.

    FOLDER/ab/ab34.../content          the bytes
                     /artifact.json    what is in them, as GET answers; the times of `content` say when it was used last
    FOLDER/incoming/...                on its way in or out

An artifact appears under its hash, and goes from there, in one step. What a crash leaves behind lies in `incoming`,
unlocked, and is removed at the next start. Several servers may share a folder: what one of them receives is locked.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import ArtifactNotFound, ArtifactTooLarge, NoRoom
from .incoming import CONTENT, DESCRIPTION, Incoming
from .limits import ArtifactLimits
from .locks import is_abandoned

HASH = re.compile(r"[0-9a-f]{64}")
_INCOMING = "incoming"


@dataclass(frozen=True)
class _Entry:
    """One artifact as the folder has it."""

    path: Path
    size: int
    used: float | None
    """None where the bytes are missing: nobody who was here before left it so."""


class ArtifactStore:
    """Stores, finds and forgets artifacts. Every method blocks and may be called from any thread."""

    def __init__(self, folder: Path, limits: ArtifactLimits, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING
        self._limits = limits
        self._clock = clock
        self._arranging = threading.Lock()  # what comes and goes, so that nothing is counted twice
        self._counting = threading.Lock()
        self._stored = self._receiving = 0

    def open(self) -> None:
        """Make the folder, for this user alone, and clear away what is left of a crash; raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        for leftover in list(self._incoming.iterdir()):
            if is_abandoned(leftover / CONTENT) or not (leftover / CONTENT).exists():
                shutil.rmtree(leftover, ignore_errors=True)
        self._incoming_file().discard()  # it can be written to, or this is the moment to hear of it
        self.sweep()

    def now(self) -> float:
        """Seconds since 1970, by the store's clock."""
        return self._clock()

    def receive(self, expected_bytes: int | None) -> Incoming:
        """Begin an upload, of so many bytes where that is known. Raises ArtifactTooLarge or NoRoom."""
        if expected_bytes is not None and expected_bytes > self._limits.max_artifact_bytes:
            raise ArtifactTooLarge(self._limits.max_artifact_bytes)
        self.sweep()
        self.take(expected_bytes or 0)
        self.give_back(expected_bytes or 0)
        return self._incoming_file()

    def take(self, count: int) -> None:
        """Count bytes of an upload in; raises NoRoom."""
        with self._counting:
            held, quota = self._stored + self._receiving, self._limits.artifact_quota_bytes
            if held + count > quota:
                raise NoRoom(
                    f"the artifacts here hold {held} bytes already, and this server's limit is artifact_quota_bytes = "
                    f"{quota}; remove some with DELETE /v1/artifacts/..., or ask for a larger limit",
                    "artifact_quota_bytes",
                )
            self._receiving += count

    def give_back(self, count: int) -> None:
        """Count bytes of an upload out."""
        with self._counting:
            self._receiving -= count

    def publish(self, incoming: Incoming, description: bytes) -> bool:
        """Keep a finished upload; False where the same content was here already, and stays as it was described."""
        place = self._place(incoming.sha256)
        os.utime(incoming.content, (self.now(), self.now()))
        with self._arranging:
            while not incoming.publish(description, place):
                if self._is_here(place):
                    return False
                self._arrange()  # it is on its way out, and this one takes its place
            with self._counting:
                self._stored += incoming.size
        return True

    def describe(self, sha256: str) -> bytes:
        """Return the description an artifact was stored with; that uses it. Raises ArtifactNotFound."""
        place = self._use(self._place(sha256))
        try:
            return (place / DESCRIPTION).read_bytes()
        except FileNotFoundError:
            raise ArtifactNotFound(sha256) from None

    def content(self, sha256: str) -> Path:
        """Return where the bytes are; they may go at any moment, an open file stays readable."""
        return self._place(sha256) / CONTENT

    def delete(self, sha256: str) -> None:
        """Remove an artifact; raises ArtifactNotFound."""
        self._remove(self._use(self._place(sha256)))
        self.sweep()

    def sweep(self) -> None:
        """Remove what was not used for longer than it is kept, and count what is left."""
        with self._arranging:
            self._arrange()

    def _arrange(self) -> None:
        stored = 0
        for entry in list(self._entries()):
            if entry.used is None or self._expired(entry.used):
                with contextlib.suppress(ArtifactNotFound):
                    self._remove(entry.path)
            else:
                stored += entry.size
        with self._counting:
            self._stored = stored

    def _incoming_file(self) -> Incoming:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)  # something may clear old files away
        return Incoming(self._incoming, self._limits.max_artifact_bytes, self)

    def _place(self, sha256: str) -> Path:
        if not HASH.fullmatch(sha256):
            raise ArtifactNotFound(sha256[:64])
        return self._folder / sha256[:2] / sha256

    def _use(self, place: Path) -> Path:
        if not self._is_here(place):
            raise ArtifactNotFound(place.name)
        return place

    def _is_here(self, place: Path) -> bool:
        """Whether an artifact is there to be used, which this does."""
        content, now = place / CONTENT, self.now()
        try:
            here = not self._expired(content.stat().st_mtime)
            if here:
                os.utime(content, (now, now))
        except FileNotFoundError:
            return False
        return here

    def _expired(self, used: float) -> bool:
        kept = self._limits.artifact_retention_seconds
        return bool(kept) and self.now() - used > kept

    def _remove(self, place: Path) -> None:
        """Take it away in one step, then clear it."""
        leaving = self._incoming / uuid.uuid4().hex
        try:
            place.rename(leaving)
        except FileNotFoundError:
            raise ArtifactNotFound(place.name) from None
        shutil.rmtree(leaving, ignore_errors=True)

    def _entries(self) -> Iterator[_Entry]:
        for drawer in self._folder.iterdir():
            if drawer.name == _INCOMING or not drawer.is_dir():
                continue
            for place in drawer.iterdir():
                try:
                    status = (place / CONTENT).stat()
                except FileNotFoundError:
                    yield _Entry(place, 0, None)
                else:
                    yield _Entry(place, status.st_size, status.st_mtime)
