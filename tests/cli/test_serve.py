"""`gradhorizon serve`: starts, says where, answers, and stops when told to."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from gradhorizon import Client


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "gradhorizon", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.slow
def test_service_starts_answers_and_stops(
    process: subprocess.Popen[str], run: Callable[..., Result], matrix: Path
) -> None:
    assert process.stderr is not None
    address = next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
    with Client(address) as client:
        assert client.health() == {"status": "ok"}
    result = run("diagnose", matrix, "--depth", 5, "--url", address, "--json")
    assert json.loads(result.stdout)["outcome"]["steps_completed"] == 5
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, -signal.SIGINT, 128 + signal.SIGINT)


def test_setting_that_does_not_fit_is_named(run: Callable[..., Result]) -> None:
    result = run("serve", "--port", "99999")
    assert result.exit_code == 2
    assert "port" in result.stderr


def test_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    code = """
import sys
sys.modules["uvicorn"] = None  # as if it were not installed
sys.argv = ["gradhorizon", "serve"]
from gradhorizon.cli import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert "pip install 'gradhorizon[service]'" in result.stderr
    assert "Traceback" not in result.stderr
