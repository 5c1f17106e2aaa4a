"""Start the service, send it two real networks, and show what it says about them.

    python demo.py           keeps serving until interrupted
    python demo.py --once    exits after the reports

Needs the project installed with its service extra; `scripts/demo` does that and runs this.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Final

import httpx
from rich.console import Console

from digits import diagnosis
from gradhorizon import Client

HOST = "127.0.0.1"
PORTS = range(8000, 8100)
READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 10.0
CAUSES: Final = ("gradient_norms", "singular_values", "lyapunov", "spectrum", "clipping")

console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description="Diagnose two real networks with a service started for it.")
    parser.add_argument("--once", action="store_true", help="exit after the reports instead of serving on")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a polite kill stops the service too
    os.environ["NO_PROXY"] = HOST  # nothing here leaves this machine, whatever proxy it uses
    try:
        with serving() as (address, server):
            demonstrate(address)
            if not once:
                keep_serving(address, server)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def demonstrate(address: str) -> None:
    with Client(address) as gh:
        console.rule(
            "[bold]Untrained: nn.RNN(1, 64), its recurrent weights orthogonal times 2.5", align="left"
        )
        console.print(gh.diagnose(**diagnosis("rnn-exploding"), diagnostics=CAUSES))
        console.print()
        console.rule(
            "[bold]The same network, PyTorch's default initialisation, six epochs of training", align="left"
        )
        console.print(gh.diagnose(**diagnosis("rnn-tanh"), diagnostics=["gradient_norms"]))


def keep_serving(address: str, server: subprocess.Popen[bytes]) -> None:
    console.print(
        f"\nStill serving at [bold]{address}[/] until interrupted; its reference is at {address}/docs"
    )
    try:
        raise SystemExit(f"The service stopped by itself, with exit status {server.wait()}.")
    except KeyboardInterrupt:
        console.print("\nStopping.")


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A service of our own on a free port: its address and its process, stopped when the block ends."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "gradhorizon_service", "--host", HOST, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            console.print(f"Starting the service at {address}")
            if not becomes_ready(address, server):
                log.seek(0)
                raise SystemExit(
                    f"The service did not become ready. It said:\n{log.read().decode(errors='replace')}"
                )
            yield address, server
        finally:
            stop(server)


def free_port() -> int:
    """A port below the range from which outgoing connections take theirs, 8000 if nobody has it."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise SystemExit(f"Every port from {PORTS[0]} to {PORTS[-1]} of {HOST} is taken.")


def becomes_ready(address: str, server: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=2.0).is_success:
                return True
        time.sleep(0.1)
    return False


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
