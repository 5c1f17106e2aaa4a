"""What the commands share: where to compute, how to print, and which exit code a failure has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

from ._arrays import CannotRead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._client import Client


class Report(Protocol):
    """What every report can do: print itself by way of rich, or as JSON."""

    def to_json(self) -> str:
        """Return strict JSON."""
        ...


REFUSED = 2
"""Exit code for what cannot be read or was refused: something about the input is to be changed."""
FAILED = 1
"""Exit code for everything else: no service, or a service that failed."""


_PATIENCE_SECONDS = 3600.0
"""Nobody else waits for a computation in one's own process, and Ctrl-C ends it."""


def client_for(url: str | None) -> Client:
    """Return a client of the service at a URL, or without one a client that computes here."""
    from .._client import Client
    from .._exceptions import ServiceMissing

    try:
        return Client.in_process(sync_seconds=_PATIENCE_SECONDS) if url is None else Client(url)
    except ServiceMissing as error:
        raise ServiceMissing(
            f"{error}; or ask a running service with --url", missing=error.missing
        ) from error
    except ValueError as error:
        raise CannotRead(str(error)) from error


def show(report: Report, *, as_json: bool) -> None:
    """Print a report: as tables, or as the strict JSON the service answers with."""
    if as_json:
        typer.echo(report.to_json())
        return
    from rich.console import Console

    Console().print(report)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn refusals into exit code 2 and other failures into 1, with the message on standard error."""
    with failures_exit_with(FAILED):
        yield


@contextmanager
def failures_exit_with(code: int) -> Iterator[None]:
    """Turn refusals into exit code 2 and other failures into this one, with the message on standard error."""
    from .._exceptions import GradhorizonError, RequestRefused

    try:
        yield
    except (CannotRead, RequestRefused) as error:
        typer.echo(f"gradhorizon: {error}", err=True)
        raise typer.Exit(REFUSED) from error
    except GradhorizonError as error:
        typer.echo(f"gradhorizon: {error}", err=True)
        raise typer.Exit(code) from error
