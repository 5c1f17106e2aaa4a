"""`python -m gradhorizon_service`: the service, until it is told to stop. The one place that reads the environment."""

from __future__ import annotations

import argparse
import logging

from gradhorizon_service.api.server import Server
from gradhorizon_service.settings import Settings, settings_from_environment


def serve(**overrides: object) -> None:
    """Serve with the settings of the environment; keyword arguments win over it.

    Raises pydantic's ValidationError, a ValueError, where a setting does not fit.
    """
    _run(settings_from_environment(**overrides))


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m gradhorizon_service", description="Serve Gradhorizon.")
    parser.add_argument("--host", help="address to listen on (GRADHORIZON_HOST, 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="port to listen on, 0 for a free one (GRADHORIZON_PORT, 8000)"
    )
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        settings = settings_from_environment(**given)
    except ValueError as error:
        parser.error(str(error))
    _run(settings)


def _run(settings: Settings) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    Server(settings).run()


if __name__ == "__main__":
    main()
