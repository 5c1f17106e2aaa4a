"""The demo does what a newcomer is promised."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def start(digits: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", str(digits / "demo.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError("".join(seen))


def test_demo_shows_both_networks_and_exits(digits: Path) -> None:
    with start(digits, "--once") as process:
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert "exploding" in output
    assert "Clipping" in output
    assert output.count("Gradient by lag") == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_demo_serves_until_interrupted_and_leaves_nothing_behind(
    digits: Path, signum: signal.Signals
) -> None:
    with start(digits) as process:
        address = read_until(process, r"Still serving at (\S+)")[1]
        assert httpx.get(f"{address}/healthz").status_code == 200
        process.send_signal(signum)
        assert process.wait(timeout=30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")
