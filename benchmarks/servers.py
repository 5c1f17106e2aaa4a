"""Server processes on the loopback address, each stopped by its own handle, and what they cost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PORTS = range(18400, 18500)


@dataclass(frozen=True)
class Server:
    """A process that answers on 127.0.0.1."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the process itself so far; its worker processes are not counted."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(module: str, ready: str) -> Iterator[Server]:
    """Run `python -m module --port PORT` until `ready` answers, and stop it at the end."""
    port = _free_port()
    command = [sys.executable, "-m", module, "--port", str(port)]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(process, f"http://127.0.0.1:{port}{ready}", log)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    """A port that nothing listens on, outside the range from which outgoing connections take theirs."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"{url} ended before it answered:\n{log.read().decode()}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5.0):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {_START_SECONDS:g} seconds")
