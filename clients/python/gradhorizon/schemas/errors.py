"""Failures on the wire: application/problem+json (RFC 9457) with a stable code."""

from __future__ import annotations

from typing import Literal

from ._base import ReportModel

ErrorCode = Literal[
    "invalid_json",
    "invalid_request",
    "invalid_shape",
    "invalid_tensor",
    "invalid_artifact",
    "unused_part",
    "nothing_recognised",
    "cannot_run",
    "diagnostic_not_applicable",
    "limit_exceeded",
    "cost_over_limit",
    "body_too_large",
    "unsupported_media_type",
    "not_acceptable",
    "not_found",
    "artifact_not_found",
    "method_not_allowed",
    "request_timeout",
    "insufficient_storage",
    "overloaded",
    "not_ready",
    "computation_timeout",
    "internal_error",
]


class FieldError(ReportModel):
    """One fault of a payload: where (JSON path), and what to change."""

    path: str
    message: str


class Problem(ReportModel):
    """The one shape of every failure."""

    type: str
    title: str
    status: int
    code: ErrorCode
    detail: str
    errors: list[FieldError]
    limit: str | None
    estimate: float | None
    instance: str | None
