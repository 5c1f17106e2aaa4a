"""`gradhorizon diff`: what changed from one checkpoint to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._answers import client_for, exit_codes, show
from ._checkpoints import existing, given, names_of, with_depth
from ._requests import sequences


def diff(
    a: Annotated[Path, typer.Argument(help="The checkpoint before.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The checkpoint after.", show_default=False)],
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", help="Steps back in time: 100 unless given.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="Where the files do not say one.")] = None,
    only: Annotated[str | None, typer.Option(help="Layers to compare, with commas.")] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Sequences (B, T, D) or (T, D) for both; Gaussian unless given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Compare two checkpoints layer by layer: horizons, exponents, norms, and which layer moved most.

    Exit codes: 0 done, 1 no service or it failed, 2 a file cannot be read or was refused.
    """
    with exit_codes():
        assumptions: list[str] = []
        options = {"depth": depth, "activation": activation, "only": names_of(only), "seed": seed}
        request = given(options)
        request |= sequences(inputs, depth, assumptions)
        request = with_depth(request, assumptions)
        with client_for(url) as client:
            report = client.compare_checkpoints(request, a=existing(a), b=existing(b))
        show(report.model_copy(update={"assumptions": [*assumptions, *report.assumptions]}), as_json=as_json)
