"""`gradhorizon claims`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]


def test_several_claims_are_a_table(run: Run) -> None:
    result = run("claims", "eigenvalue-growth", "dominant-direction")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["claim", "verdict", "seconds"]
    assert any(line.startswith("eigenvalue-growth") and "holds" in line for line in lines)
    assert any(line.startswith("dominant-direction") and "holds partly" in line for line in lines)


def test_one_claim_is_shown_with_its_numbers_and_changed(run: Run) -> None:
    result = run("claims", "eigenvalue-growth", "--set", "condition=10000.0", "--set", "depths=[1, 50]")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("holds partly  eigenvalue-growth")
    assert "largest_rate_error" in result.stdout


def test_json_is_a_list_of_whole_reports(run: Run) -> None:
    result = run("claims", "eigenvalue-growth", "--json", "--seed", 3)
    (report,) = json.loads(result.stdout)
    assert (report["name"], report["parameters"]["seed"]) == ("eigenvalue-growth", 3)


def test_charts_are_written_where_asked_for(run: Run, tmp_path: Path) -> None:
    result = run("claims", "eigenvalue-growth", "--charts", tmp_path / "new")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "new" / "eigenvalue-growth.svg").read_text(encoding="utf-8").startswith("<svg")
    (tmp_path / "file").touch()
    refused = run("claims", "eigenvalue-growth", "--charts", tmp_path / "file")
    assert refused.exit_code == 2
    assert "cannot be written" in refused.stderr


def test_an_unknown_claim_is_refused_with_the_list(run: Run) -> None:
    result = run("claims", "flat-earth")
    assert result.exit_code == 2
    assert "there is no claim flat-earth; there are eigenvalue-growth" in result.stderr


def test_a_setting_needs_one_claim_and_a_value(run: Run) -> None:
    assert "name it" in run("claims", "--set", "seed=1").stderr
    assert "give a name, =, and a value" in run("claims", "lstm", "--set", "seed").stderr
    assert run("claims", "lstm", "--set", "no_such=1").exit_code == 2
