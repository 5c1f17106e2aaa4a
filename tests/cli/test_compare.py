"""`gradhorizon compare`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, w in (("short", 0.5), ("long", 0.9)):
        np.save(tmp_path / f"{name}.npy", np.array([[w]]))
    return [tmp_path / "short.npy", tmp_path / "long.npy"]


def test_networks_are_ranked_and_named_by_their_files(run: Run, files: list[Path]) -> None:
    result = run("compare", *files, "--depth", 100, "--cell", "linear", "--json")
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    assert [(row["name"], row["horizon_steps"]) for row in rows] == [("long", 66), ("short", 10)]


def test_the_table_says_who_reaches_farthest(run: Run, files: list[Path]) -> None:
    result = run("compare", *files, "--depth", 100, "--cell", "linear")
    assert "long reaches farthest, 66 steps back" in result.stdout
    assert "assumed: short: read from short.npy as one linear cell" in result.stdout


def test_a_whole_comparison_is_a_json_file(run: Run, tmp_path: Path) -> None:
    request = {
        "network": {"cell": "linear", "weights": [[2.0]]},
        "policies": {"cut": {"kind": "per_step", "threshold": 1.0}, "none": {"kind": "none"}},
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    result = run("compare", tmp_path / "request.json", "--depth", 20)
    assert result.exit_code == 0, result.stderr
    assert "cut reaches farthest" in result.stdout


def test_one_network_is_nothing_to_compare(run: Run, files: list[Path]) -> None:
    result = run("compare", files[0], "--depth", 10)
    assert result.exit_code == 2
    assert "they make 1" in result.stderr


def test_a_file_named_twice_is_refused(run: Run, files: list[Path]) -> None:
    result = run("compare", files[0], files[0], "--depth", 10)
    assert result.exit_code == 2
    assert "named twice" in result.stderr
