"""`python -m gradhorizon_service`: the service, until it is told to stop. The one place that reads the environment."""

from __future__ import annotations

import argparse
import logging


def serve(**overrides: object) -> None:
    """Serve with the settings of the environment; keyword arguments win over it."""
    from gradhorizon_service.api.server import Server
    from gradhorizon_service.settings import settings_from_environment

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    Server(settings_from_environment(**overrides)).run()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m gradhorizon_service", description=__doc__)
    parser.add_argument("--host", help="address to listen on (GRADHORIZON_HOST, 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="port to listen on, 0 for a free one (GRADHORIZON_PORT, 8000)"
    )
    serve(**{name: value for name, value in vars(parser.parse_args()).items() if value is not None})


if __name__ == "__main__":
    main()
