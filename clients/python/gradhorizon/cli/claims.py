"""`gradhorizon claims`: sentences about gradients that are usually repeated, run again and judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import CannotRead

if TYPE_CHECKING:
    from rich.progress import Progress

    from .._client import Client
    from .._reports import Claim


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Claims to judge; all of them unless given.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=JSON",
            help="Change a parameter of the one claim that is named.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.")] = None,
    charts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the chart of each claim there, as SVG.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole reports as one JSON list.")
    ] = False,
) -> None:
    """Run claims about vanishing and exploding gradients again, and judge each by a criterion fixed beforehand.

    One claim is shown with its numbers, several as a table. Exit codes: 0 done, whatever the verdicts are, 1 no service
    or it failed, 2 a name or parameter was refused.
    """
    with exit_codes(), client_for(url) as client:
        known = [claim.name for claim in client.claims().claims]
        asked = _known(names or known, known)
        parameters = _parameters(settings or [], asked, seed)
        judged = _judged(client, asked, parameters, charts)
        if as_json:
            typer.echo("[" + ",\n".join(report.to_json() for report in judged) + "]")
        elif len(judged) == 1:
            show(judged[0], as_json=False)
        else:
            _print_table(judged)


def _known(asked: list[str], known: list[str]) -> list[str]:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise CannotRead(f"there is no claim {', '.join(unknown)}; there are {', '.join(known)}")
    return list(dict.fromkeys(asked))


def _parameters(settings: list[str], asked: list[str], seed: int | None) -> dict[str, Any]:
    if settings and len(asked) != 1:
        raise CannotRead("--set changes a parameter of one claim: name it")
    parameters = dict(map(_setting, settings))
    return parameters if seed is None else {**parameters, "seed": seed}


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CannotRead(f"--set {text}: give a name, =, and a value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _judged(client: Client, asked: list[str], parameters: dict[str, Any], charts: Path | None) -> list[Claim]:
    found = []
    with _progress() as progress:
        bar = progress.add_task("", total=len(asked))
        for name in asked:
            progress.update(bar, description=name)
            report = client.claim(name, **parameters)
            found.append(report)
            if charts is not None:
                _write(charts / f"{name}.svg", client.chart(report))
            progress.advance(bar)
    return found


def _write(path: Path, picture: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    except OSError as error:
        raise CannotRead(f"{path} cannot be written: {error}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, which goes when it is full: standard output is for the answer."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield progress


def _print_table(judged: list[Claim]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .._rendering import COLOURS

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, justify in (("claim", "left"), ("verdict", "left"), ("seconds", "right"), ("", "left")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for report in judged:
        verdict = report.verdict.replace("_", " ")
        because = report.when or (report.reason if report.verdict == "fails" else report.sentence)
        table.add_row(
            report.name,
            Text(verdict, style=COLOURS.get(verdict, "")),
            f"{report.provenance.seconds:.1f}",
            Text(because),
        )
    Console().print(table)
