"""`gradhorizon descend`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]


def test_the_cliff_is_printed_with_what_clipping_changes(run: Run) -> None:
    result = run("descend", "cliff", "-r", 0.2, "--clip", 0.01, "--steps", 60)
    assert result.exit_code == 0, result.stderr
    assert "undoes more than all of the progress before it" in result.stdout
    assert "norm at 0.01" in result.stdout


def test_options_name_the_cell_and_the_optimizer(run: Run) -> None:
    arguments = ("--cell", "gru", "--hidden-size", 3, "--optimizer", "adam", "--seeds", 2, "--steps", 4)
    result = run("descend", "latch", "--length", 5, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["task"], report["cell"], report["steps"], len(report["runs"])) == ("latch", "gru", 4, 2)


def test_a_whole_request_is_a_json_file(run: Run, tmp_path: Path) -> None:
    request = {"task": {"kind": "recurrence", "weights": [[1.1]]}, "seeds": 2, "steps": 3}
    (tmp_path / "request.json").write_text(json.dumps(request))
    result = run("descend", tmp_path / "request.json", "--clip", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert [policy["name"] for policy in json.loads(result.stdout)["policies"]] == ["none", "norm at 1"]
    assert run("descend", tmp_path / "request.json", "--length", 4).exit_code == 2
    assert run("descend", tmp_path / "nothing.json").exit_code == 2


def test_an_unknown_task_is_refused(run: Run) -> None:
    result = run("descend", "copy")
    assert result.exit_code == 2
    assert "$.task" in result.stderr
