"""Failures as application/problem+json: one table from code to status, one envelope, and nothing of the input in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gradhorizon.schemas import ErrorCode, FieldError, Problem

from ..analysis.errors import CostOverLimit, RequestRefused
from ..formats.json_path import json_path
from ..processes.errors import PoolClosed, PoolError, QueueFull, TaskTimeout
from .refusals import Overloaded

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

TABLE: Mapping[ErrorCode, tuple[int, str]] = {
    "invalid_json": (400, "The body is not strict JSON"),
    "invalid_request": (422, "A field is missing, unknown or out of range"),
    "invalid_shape": (422, "Shapes do not fit each other"),
    "invalid_tensor": (422, "A binary part cannot be read"),
    "invalid_artifact": (422, "The file cannot be read"),
    "unused_part": (422, "A binary part is not referred to"),
    "nothing_recognised": (422, "No layer is recognised in the checkpoint"),
    "cannot_run": (422, "What is asked for does not exist"),
    "diagnostic_not_applicable": (422, "A diagnostic does not apply to this network"),
    "limit_exceeded": (422, "A size is over a limit of this server"),
    "cost_over_limit": (422, "The computation is over what this server answers at once"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The content type is not read here"),
    "not_acceptable": (406, "The answer comes in none of the accepted types"),
    "not_found": (404, "There is nothing at this address"),
    "artifact_not_found": (404, "There is no such artifact"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "request_timeout": (408, "The request did not arrive in time"),
    "insufficient_storage": (507, "There is no room for the artifact"),
    "overloaded": (503, "The server is busy"),
    "not_ready": (503, "The server is starting or stopping"),
    "computation_timeout": (504, "The computation took too long"),
    "internal_error": (500, "The server failed"),
}
"""Code -> status and title. The sentence that says what to change is the problem's `detail`."""

_CODE_OF_STATUS: Mapping[int, ErrorCode] = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_INTERNAL = "an internal error; it is in the server's log under this problem's instance"


def problem_body(
    code: ErrorCode,
    detail: str,
    *,
    status: int | None = None,
    errors: list[FieldError] | None = None,
    limit: str | None = None,
    estimate: float | None = None,
    instance: str | None = None,
) -> bytes:
    """Encode one problem. `status` only where it is not the table's."""
    usual, title = TABLE[code]
    problem = Problem(
        type=f"urn:gradhorizon:problem:{code}",
        title=title,
        status=status or usual,
        code=code,
        detail=detail,
        errors=errors or [],
        limit=limit,
        estimate=estimate,
        instance=instance,
    )
    return orjson.dumps(problem.model_dump())


def problem_response(
    request: Request,
    code: ErrorCode,
    detail: str,
    *,
    status: int | None = None,
    errors: list[FieldError] | None = None,
    limit: str | None = None,
    estimate: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response for one failure of a request."""
    identifier = getattr(request.state, "request_id", None)
    instance = f"urn:gradhorizon:request:{identifier}" if identifier else None
    body = problem_body(
        code, detail, status=status, errors=errors, limit=limit, estimate=estimate, instance=instance
    )
    return Response(body, status or TABLE[code][0], headers, PROBLEM_JSON)


async def _refused(request: Request, error: RequestRefused) -> Response:
    faults = [FieldError(path=fault.path, message=fault.message) for fault in error.faults]
    headers = {}
    if isinstance(error, Overloaded):
        headers = {"retry-after": _retry_after(error.retry_after_seconds)}
    elif error.code == "unsupported_media_type":
        headers = {"accept": "application/json, multipart/form-data"}
    code = cast("ErrorCode", error.code)
    estimate = error.estimate if isinstance(error, CostOverLimit) else None
    return problem_response(
        request, code, error.message, errors=faults, limit=error.limit, estimate=estimate, headers=headers
    )


async def _queue_full(request: Request, error: QueueFull) -> Response:
    headers = {"retry-after": _retry_after(error.retry_after_seconds)}
    detail = f"every worker is busy: {error}; send the request again later"
    return problem_response(request, "overloaded", detail, limit="queue_length", headers=headers)


async def _task_timeout(request: Request, error: TaskTimeout) -> Response:
    detail = f"the computation was {error}; ask for a smaller depth, size, batch or fewer diagnostics"
    return problem_response(request, "computation_timeout", detail, limit="computation_seconds")


async def _pool_closed(request: Request, _: PoolClosed) -> Response:
    detail = "the server is starting or stopping; send the request again later"
    return problem_response(request, "not_ready", detail, headers={"retry-after": "5"})


async def internal_error(request: Request, error: Exception) -> Response:
    """Answer whatever nobody foresaw: everything to the log, nothing to the client."""
    logger.error("request %s failed", getattr(request.state, "request_id", "-"), exc_info=error)
    return problem_response(request, "internal_error", _INTERNAL)


async def _http(request: Request, error: HTTPException) -> Response:
    code = _CODE_OF_STATUS.get(
        error.status_code, "internal_error" if error.status_code >= 500 else "invalid_request"
    )
    detail = {
        "not_found": f"nothing is at {_shown(request.url.path)}; /docs lists what is",
        "method_not_allowed": f"{request.method} is not allowed at {_shown(request.url.path)}",
    }.get(code, error.detail)
    return problem_response(request, code, detail, status=error.status_code, headers=error.headers)


async def _validation(request: Request, error: RequestValidationError) -> Response:
    """Parameters of a path or query; bodies never come this way. FastAPI's own answer would repeat the input."""
    faults = [FieldError(path=json_path(item["loc"]), message=item["msg"]) for item in error.errors()]
    return problem_response(
        request, "invalid_request", f"{faults[0].path}: {faults[0].message}", errors=faults
    )


async def _disconnected(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it


def _retry_after(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))


def _shown(path: str) -> str:
    return path if len(path) <= 100 else path[:100] + "..."


HANDLERS: Mapping[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    RequestRefused: _refused,
    QueueFull: _queue_full,
    TaskTimeout: _task_timeout,
    PoolClosed: _pool_closed,
    PoolError: internal_error,
    HTTPException: _http,
    RequestValidationError: _validation,
    ClientDisconnect: _disconnected,
}
