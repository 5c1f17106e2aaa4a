"""One plain ASGI middleware around everything: a name for each request, and a problem where all else failed.

Plain, because the framework's convenient kind costs more than half of the throughput.
"""

from __future__ import annotations

import re
import uuid

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import internal_error

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Gives each request an `X-Request-ID` (the client's own, if plain), and answers what nothing else has answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = identifier
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", identifier.encode()), _NOSNIFF]
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:
            if started:
                raise  # too late for an answer: the server logs it and closes the connection
            response = await internal_error(Request(scope), error)
            await response(scope, receive, send_named)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex
