"""Files that tell whether the process that made them still lives: it holds a lock that the system drops with it."""

from __future__ import annotations

import os
from pathlib import Path


def lock(descriptor: int) -> bool:
    """Take the lock of an open file without waiting; False where it is taken, or where there are no such locks.

    Closing the file gives it back.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def is_abandoned(path: Path) -> bool:
    """Whether a file is there and nobody holds its lock; never where there are no locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return lock(descriptor)
    finally:
        os.close(descriptor)
