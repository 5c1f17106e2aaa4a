"""The command itself: light to start, helpful, and documented by examples that run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import gradhorizon

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ gradhorizon (.*)$", PAGE, re.MULTILINE)


def test_version_is_printed(run: Run) -> None:
    assert run("--version").stdout == f"gradhorizon {gradhorizon.__version__}\n"


@pytest.mark.parametrize("command", [[], ["diagnose"], ["spectrum"], ["serve"]])
def test_help_exists(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_loads_neither_numpy_nor_httpx_nor_the_service() -> None:
    """Help that takes a second is not asked for twice."""
    code = """
import sys
sys.argv = ["gradhorizon", "diagnose", "--help"]
from gradhorizon.cli import main
try:
    main()
except SystemExit:
    pass
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"numpy", "httpx", "scipy", "fastapi", "gradhorizon_service"}, loaded
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr


def test_module_is_the_command() -> None:
    command = [sys.executable, "-m", "gradhorizon", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith("gradhorizon ")


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command_runs(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = run(*shlex.split(command))
    assert result.exit_code == 0, result.stderr


def test_every_option_of_diagnose_is_documented(run: Run) -> None:
    options = set(re.findall(r"--[a-z-]+", run("diagnose", "--help").stdout)) - {"--help", "--clip-value"}
    assert options <= set(re.findall(r"--[a-z-]+", PAGE))
