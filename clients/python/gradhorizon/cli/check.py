"""`gradhorizon check`: does a checkpoint keep to a policy; for continuous integration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._answers import client_for, failures_exit_with
from ._checkpoints import existing, given, names_of, with_depth
from ._github import annotation
from ._policies import Policy, Violation, check_depth, read_policy, violations, with_options
from ._requests import sequences

if TYPE_CHECKING:
    from .._reports import CheckpointDiagnosis

BROKEN = 1
"""Exit code for a policy that is broken."""
UNREADABLE = 2
"""Exit code for everything that keeps the question from being answered."""


def check(
    file: Annotated[
        Path, typer.Argument(help="A checkpoint of any framework that is read.", show_default=False)
    ],
    policy: Annotated[
        Path | None, typer.Option(help="What has to hold, as TOML: fail_on, min_horizon, hygiene, layers.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(help="Verdicts that fail, with commas; diverged,exploding,dead unless given."),
    ] = None,
    min_horizon: Annotated[
        int | None, typer.Option(help="Steps that a gradient has to reach back in every recurrent layer.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", help="Steps back in time: 100 unless given.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="Where the file does not say one.")] = None,
    only: Annotated[str | None, typer.Option(help="Layers to look at, with commas.")] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Sequences (B, T, D) or (T, D); Gaussian unless given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print violations and the report as JSON.")] = False,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
) -> None:
    """Check that the layers of a checkpoint keep to a policy.

    Exit codes: 0 it does, 1 it does not, 2 the question cannot be answered: file, policy or service.
    """
    assumptions: list[str] = []
    with failures_exit_with(UNREADABLE):
        rules = with_options(read_policy(policy), names_of(fail_on), min_horizon)
        options = {"depth": depth, "activation": activation, "only": names_of(only), "seed": seed}
        request = {**rules.request, "diagnostics": ["gradient_norms"], **given(options)}
        request |= sequences(inputs, request.get("depth"), assumptions)
        request = with_depth(request, assumptions)
        check_depth(rules, request["depth"])
        with client_for(url) as client:
            report = client.diagnose_checkpoint(existing(file), request)
        found = violations(rules, report)
    broken = [one for one in found if one.severity == "error"]
    report = report.model_copy(update={"assumptions": [*assumptions, *report.assumptions]})
    if as_json:
        typer.echo(_as_json(report, found))
    else:
        _print(report, rules, found, file)
    if github:
        for one in found:
            typer.echo(annotation(one, file), err=as_json)
    if broken:
        raise typer.Exit(BROKEN)


def _as_json(report: CheckpointDiagnosis, found: list[Violation]) -> str:
    listed: list[dict[str, Any]] = [
        {"severity": one.severity, "where": one.where, "says": one.says} for one in found
    ]
    passed = all(one.severity != "error" for one in found)
    return json.dumps(
        {"passed": passed, "violations": listed, "report": json.loads(report.to_json())},
        indent=2,
        allow_nan=False,
    )


def _print(report: CheckpointDiagnosis, policy: Policy, found: list[Violation], file: Path) -> None:
    """Print a line for every layer, then what breaks the policy."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    broken = {one.where for one in found if one.severity == "error"}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "layer", "cell", "verdict", "horizon", "asked for"):
        table.add_column(column, overflow="fold")
    for layer in report.layers:
        least = policy.of(layer.name).min_horizon
        horizon = "-" if layer.diagnosis is None else layer.diagnosis.horizon.steps
        table.add_row(
            "FAIL" if layer.name in broken else "ok",
            Text(layer.name),
            layer.cell,
            "undiagnosed" if layer.diagnosis is None else layer.diagnosis.verdict.status,
            "beyond the depth" if horizon is None else str(horizon),
            "" if least is None or layer.cell == "feedforward" else f"at least {least}",
        )
    console = Console()
    console.print(table)
    for one in found:
        console.print(Text(f"{one.severity}: {one.where}: {one.says}"))
    own = [f"{layer.name}: {line}" for layer in report.layers for line in layer.assumptions]
    for line in (*report.assumptions, *own):
        console.print(Text(f"assumed: {line}", style="dim"))
    count = sum(one.severity == "error" for one in found)
    words = "keeps to the policy" if not count else f"breaks the policy in {count} place{'s' * (count > 1)}"
    console.print(Text(f"{file}: {words}", style="bold"), soft_wrap=True)  # a path is copied whole
