"""`create_app`: builds everything and is handed everything."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from gradhorizon_service.analysis.tasks import ENGINE_VERSION
from gradhorizon_service.settings import Settings

from .errors import HANDLERS
from .middleware import RequestContext
from .openapi import describe
from .routes import ROUTERS
from .service import running_service

_DESCRIPTION = """
Arrays are nested lists, or `{"tensor": "part"}` for a binary part of a `multipart/form-data` request: the part
`request` is the JSON, every other part is a `.npy`, `.npz` or `.safetensors` file (`"name"` beside `"tensor"` picks one
of an archive's arrays), or `{"artifact": "<sha256>", "name": "tensor"}` for a tensor of a file uploaded before
(`POST /v1/artifacts`).

JSON is strict both ways. In fields named `log10_...` `null` means exactly zero. Every failure is
`application/problem+json` with a stable `code`, a sentence that says what to change, and JSON paths.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the web application; its worker processes live as long as its lifespan."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_service(settings) as service:
            app.state.service = service
            yield

    app = FastAPIOffline(
        title="Gradhorizon",
        summary="How far back a gradient reaches in a network, why it stops there, and what would move that horizon.",
        description=_DESCRIPTION,
        version=ENGINE_VERSION,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # The reference would otherwise ask a public validator about this server's description.
        swagger_ui_parameters={"validatorUrl": None},
    )
    for router in ROUTERS:
        app.include_router(router)
    for error, handler in HANDLERS.items():
        app.add_exception_handler(error, handler)
    app.add_middleware(RequestContext)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # the framework's own way
    return app
