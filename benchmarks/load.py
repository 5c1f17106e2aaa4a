"""A load generator: a few keep-alive connections that send the same request again as soon as it is answered.

Run as a process of its own, `python -m benchmarks.load PORT PATH CONNECTIONS SECONDS BODY_FILE`, it prints how many
answers came in how many seconds, and the latencies' median and 99th percentile in milliseconds.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop


@dataclass(frozen=True)
class Answers:
    """What came back within the time."""

    count: int
    seconds: float
    median_ms: float
    p99_ms: float


def generate(port: int, path: str, connections: int, seconds: float, body: Path) -> Answers:
    """Load a server from another process, so that no generator shares an interpreter with what it measures."""
    arguments = [str(port), path, str(connections), str(seconds), str(body)]
    command = [sys.executable, "-m", "benchmarks.load", *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60.0)
    if output.returncode != 0:
        raise RuntimeError(f"the load generator failed: {output.stderr.strip()}")
    count, elapsed, median, p99 = output.stdout.split()
    return Answers(int(count), float(elapsed), float(median), float(p99))


class _Connection(asyncio.Protocol):
    """One request in flight at a time."""

    def __init__(self, request: bytes, until: float) -> None:
        self.latencies: list[float] = []
        self.failure: str | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._received = b""
        self._expected: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected is None and not self._read_head():
            return
        if self._expected is not None and len(self._received) >= self._expected:
            self.latencies.append(time.perf_counter() - self._sent)
            if time.perf_counter() < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.failure is None and time.perf_counter() < self._until:
            self.failure = "the server closed a connection"
        self.closed.set_result(None)

    def _send(self) -> None:
        self._received, self._expected = b"", None
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _read_head(self) -> bool:
        """Find out how long the answer is, once its head is there."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._received[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            self.failure = head.partition(b"\r\n")[0].decode()
            self._transport.close()
            return False
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        self._expected = end + 4 + int(length)
        return True


async def _load(port: int, path: str, connections: int, seconds: float, body: bytes) -> list[float]:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    request = head.encode() + b"\r\n\r\n" + body
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: _Connection(request, until), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    for connection in opened:
        await connection.closed
    failures = {connection.failure for connection in opened if connection.failure}
    if failures:
        raise RuntimeError("; ".join(failures))
    return [latency for connection in opened for latency in connection.latencies]


def main() -> None:
    port, path, connections, seconds, body = sys.argv[1:]
    started = time.perf_counter()
    found = uvloop.run(_load(int(port), path, int(connections), float(seconds), Path(body).read_bytes()))
    elapsed = time.perf_counter() - started
    median, p99 = np.percentile(found, [50.0, 99.0]) * 1e3
    print(len(found), elapsed, median, p99)


if __name__ == "__main__":
    main()
