"""One worker process, seen from the service: start, hand over a task, kill.

A plain subprocess and not `multiprocessing`: that would import the main module of the service (or of whoever embeds
it) in every worker. See docs/decisions/0004.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import FileIO
from typing import Any, cast

from .errors import WorkerDied
from .messages import receive, send, untouched, widen

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Before the libraries load, so that they never start threads; the child limits whatever does not listen to these."""


class WorkerProcess:
    """A process that runs one task at a time. Every method blocks; the pool calls them from its threads."""

    def __init__(self, table: str) -> None:
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gradhorizon_service.processes.child", table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        self._inbox = cast("FileIO", self._process.stdin)
        self._outbox = cast("FileIO", self._process.stdout)
        widen(self._inbox)
        widen(self._outbox)

    @property
    def pid(self) -> int:
        """The process id, for the log."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return once everything is imported and warm; raises WorkerDied where that fails."""
        try:
            receive(self._outbox)
        except (EOFError, OSError) as error:
            raise WorkerDied("the worker process ended before it was ready") from error

    def run(self, name: str, arguments: tuple[object, ...]) -> Any:
        """Run one task and return its result, or raise what it raised; WorkerDied where the process ended."""
        try:
            send(self._inbox, (name, arguments))
            succeeded, value = receive(self._outbox, untouched)
        except (EOFError, OSError) as error:
            raise WorkerDied("the worker process ended in the middle of a task") from error
        if succeeded:
            return value
        raise value

    def kill(self) -> None:
        """End the process at once, whatever it does; a blocked `run` in another thread then returns."""
        self._process.kill()

    def discard(self) -> None:
        """Reap the process and close the pipes, once no thread uses them."""
        self._process.kill()
        self._process.wait()
        self._inbox.close()
        self._outbox.close()
