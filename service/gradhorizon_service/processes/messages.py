"""Objects through a pipe: pickle protocol 5, whose large arrays go out of band and are never copied into the pickle.

A message is a count, the sizes, the pickle, and the raw buffers. Both ends are this package's own; nothing that a
client sends is ever unpickled.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Callable
from io import FileIO
from typing import Any

import numpy as np

Allocate = Callable[[int], bytearray | memoryview]

_COUNT = struct.Struct("<I")
_PIPE_BYTES = 2**20  # what Linux lets an ordinary user ask for


def send(stream: FileIO, message: object) -> None:
    """Write one object; raises OSError where the other end is gone."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sizes = struct.pack(f"<{len(parts)}Q", *(part.nbytes for part in parts))
    _write(stream, memoryview(_COUNT.pack(len(parts)) + sizes + head))
    for part in parts[1:]:
        _write(stream, part)


def receive(stream: FileIO, allocate: Allocate = bytearray) -> Any:
    """Read one object; raises EOFError where the other end is gone.

    `allocate` makes the buffers of its arrays. A bytearray is the convenient one, but it is filled with zeros first,
    and Python's lock is held meanwhile: 0.1 s for 150 MB. Beside an event loop use `untouched`.
    """
    (count,) = _COUNT.unpack(_read(stream, _COUNT.size, bytearray))
    sizes = struct.unpack(f"<{count}Q", _read(stream, 8 * count, bytearray))
    head, *buffers = (_read(stream, size, allocate) for size in sizes)
    return pickle.loads(head, buffers=buffers)  # noqa: S301 - written by our own process, see above


def untouched(size: int) -> memoryview:
    """Return memory as the system gives it."""
    return np.empty(size, dtype=np.uint8).data


def widen(stream: FileIO) -> None:
    """Ask for a pipe of 1 MB instead of 64 kB where there is such a thing: fewer turns for large arrays."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _write(stream: FileIO, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) :]


def _read(stream: FileIO, size: int, allocate: Allocate) -> bytearray | memoryview:
    data = allocate(size)
    left = memoryview(data)
    while left:
        got = stream.readinto(left)
        if not got:
            raise EOFError
        left = left[got:]
    return data
