"""The inside of a worker process: read a task, compute, write the result, until the other end is gone.

Started as `python -m gradhorizon_service.processes.child MODULE:TABLE`, where the table maps a name to a function. The
process imports the table and nothing of the service around it.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import threadpoolctl

from .errors import WorkerFailed
from .messages import receive, send, widen

Table = Mapping[str, Callable[..., Any]]

READY = "ready"


def main(table: str) -> None:
    """Serve tasks from standard input until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_IGN
        )  # the parent decides when: Ctrl-C and service managers signal everybody
    inbox, outbox = _private_pipes()
    functions = _load(table)
    threadpoolctl.threadpool_limits(1)  # here, where NumPy's and SciPy's own copies of BLAS are both loaded
    _warm()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox, tasks), daemon=True).start()
    send(outbox, READY)
    while True:
        _answer(outbox, functions, *tasks.get())


def _private_pipes() -> tuple[FileIO, FileIO]:
    """Take the pipes off descriptors 0 and 1, so that a stray print cannot corrupt a message."""
    inbox, outbox = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    widen(inbox)
    widen(outbox)
    return inbox, outbox


def _load(table: str) -> Table:
    module, name = table.split(":")
    functions: Table = getattr(importlib.import_module(module), name)
    return functions


def _warm() -> None:
    """Touch LAPACK once: the first call of a library costs more than the tenth."""
    matrix = np.eye(8) + 0.1
    scipy.linalg.svdvals(matrix)
    scipy.linalg.schur(matrix)
    np.linalg.eigvals(matrix)


def _listen(inbox: FileIO, tasks: queue.SimpleQueue[Any]) -> None:
    """Hand tasks over, and end the process at once when the parent is gone, even in the middle of a task."""
    try:
        while True:
            tasks.put(receive(inbox))
    except EOFError:
        os._exit(0)


def _answer(outbox: FileIO, functions: Table, name: str, arguments: tuple[Any, ...]) -> None:
    try:
        reply = (True, functions[name](*arguments))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other end must hear of it
        reply = (False, _portable(error))
    send(outbox, reply)


def _portable(error: Exception) -> Exception:
    """Return the exception itself where it survives a pickle, and its traceback as text where it does not."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - classes with arguments of their own fail in many ways
        copy = None
    if isinstance(copy, Exception) and str(copy) == str(error):
        error.add_note("".join(traceback.format_exception(error)))
        return error
    return WorkerFailed("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main(sys.argv[1])
