"""The command line, `gradhorizon`: one file a command, each loading what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from .._version import __version__
from .check import check
from .claims import claims
from .clippings import clippings
from .compare import compare
from .descend import descend
from .diagnose import diagnose
from .diff import diff
from .mean_field import mean_field
from .serve import serve
from .spectrum import spectrum

__all__ = ["app", "main"]

app = typer.Typer(
    name="gradhorizon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.command()(diagnose)
app.command()(check)
app.command()(diff)
app.command()(compare)
app.command()(clippings)
app.command()(spectrum)
app.command()(descend)
app.command()(mean_field)
app.command()(claims)
app.command()(serve)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gradhorizon {__version__}")
        raise typer.Exit


@app.callback()
def _gradhorizon(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Tell how far back a gradient reaches in a network, why it stops there, and what would move that horizon."""


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    app()
