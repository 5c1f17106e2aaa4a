"""`gradhorizon serve`: the service, until interrupted."""

from __future__ import annotations

from typing import Annotated

import typer

from .._extras import service_extra
from ._answers import exit_codes
from ._arrays import CannotRead


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on: 127.0.0.1 unless given; 0.0.0.0 is every network."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on: 8000 unless given; 0 takes a free one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that compute: the cores of this machine unless given.")
    ] = None,
) -> None:
    """Start the service here; needs the extra `service`.

    Limits and everything else are settings, read from the environment: GRADHORIZON_MAX_SIZE and its kin.
    """
    from pydantic import ValidationError

    given = {"host": host, "port": port, "workers": workers}
    with exit_codes():
        with service_extra():
            import uvicorn  # noqa: F401 - told missing before anything starts

            from gradhorizon_service.__main__ import serve as run
        try:
            run(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
            raise CannotRead(f"a setting does not fit: {faults}") from error
