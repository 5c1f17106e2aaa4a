"""The application on a socket."""

from __future__ import annotations

from types import FrameType

import uvicorn
from fastapi import FastAPI

from gradhorizon_service.settings import Settings

from .app import create_app
from .protocol import protocol_class


class Server(uvicorn.Server):
    """uvicorn's server, which also tells the application when it was told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.app: FastAPI = create_app(settings)
        super().__init__(_config(self.app, settings))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop being ready at once; requests in flight finish within the grace period."""
        service = getattr(self.app.state, "service", None)
        if service is not None:
            service.draining = True
        super().handle_exit(sig, frame)


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_class(settings.receive_seconds, settings.max_header_bytes),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=settings.access_log,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
