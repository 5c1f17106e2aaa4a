"""What handlers ask for, by name."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from .service import Service


async def _service(request: Request) -> Service:  # async: a plain function would be sent to a thread
    return cast("Service", request.app.state.service)


ServiceDep = Annotated[Service, Depends(_service)]
"""The running service."""
