"""A folder for artifacts that goes with the process: what a killed process leaves, the next one clears away."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .locks import is_abandoned, lock

_PREFIX = "gradhorizon-artifacts-"
_LOCK = "lock"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder under the system's temporary one, for this user alone, and remove it at the end."""
    _clear_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    lock(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _clear_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_ours(folder) and is_abandoned(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether this user made it: anybody may put a name, or a link, into the temporary folder."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return not folder.is_symlink() and (not hasattr(os, "getuid") or status.st_uid == os.getuid())
