"""`gradhorizon mean-field`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def test_critical_variance_of_tanh_is_printed(run: Run) -> None:
    result = run("mean-field", "--weight-variance", 1.5, "--bias-variance", 0.05)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("ordered  tanh at weight variance 1.5")
    assert "1.761" in result.stdout


def test_what_is_undefined_is_printed_with_its_reason(run: Run) -> None:
    printed = run("mean-field", "--activation", "relu", "-w", 2).stdout
    assert printed.startswith("critical  relu")
    assert "length q*: every length is a fixed point" in printed


def test_json_is_the_whole_report(run: Run) -> None:
    result = run(
        "mean-field", "-w", 2, "--activation", "elu", "--alpha", 1.5, "--size", 3, "--leading", 2, "--json"
    )
    report = json.loads(result.stdout)
    assert report["activation"] == "elu"
    assert len(report["gaussian_product_exponents"]) == 2


def test_option_of_another_activation_is_refused(run: Run) -> None:
    result = run("mean-field", "-w", 2, "--alpha", 1.5)
    assert result.exit_code == 2
    assert "alpha belongs to the activation elu" in result.stderr


def test_weight_variance_is_required(run: Run) -> None:
    assert run("mean-field").exit_code == 2


def test_critical_line_prints_pairs(here_report: str) -> None:
    assert "Critical line" in here_report
    assert "1.761" in here_report


@pytest.fixture
def here_report() -> str:
    """A printed report with a line, which only the client asks for."""
    from gradhorizon import Client

    with Client.in_process() as client:
        line = {"over": "bias_variance", "start": 0.0, "stop": 0.05, "points": 3}
        return str(client.mean_field(weight_variance=1.5, critical_line=line))
