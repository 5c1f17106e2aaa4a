"""Everything a call can raise.

GradhorizonError
├── ConnectionFailed        no answer came: nothing listens there, or the connection broke
│   └── TimedOut            the connection stood, the answer did not come in time
├── RequestRefused          the request was read and will not be computed as it is
│   ├── InvalidRequest      a field is missing, unknown, or does not fit: `errors` says which
│   │   └── CannotRun       well-formed, but what it asks for does not exist
│   ├── NotApplicable       a diagnostic was asked for that means nothing for this network
│   ├── LimitExceeded       a size is over a limit of the service: `limit` names it
│   │   └── CostOverLimit   the estimated time or memory is over the limit
│   └── NotFound            the service knows no such address, or has no such artifact
├── ServerFailed            the service, or a proxy before it, could not do its work
│   ├── Overloaded          it takes no work at the moment: `retry_after` seconds, where it says so
│   │   └── NotReady        it is still starting
│   ├── ComputationTimedOut the computation was stopped at the service's time limit
│   └── GatewayFailed       a proxy answered in its place
├── NotUnderstood           an answer came that is not the service's, or not of a version we read
└── ServiceMissing          in-process use, without the packages of the extra `service`

Refusals and failures of the service carry a stable `code`; `BY_CODE` says which class each becomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .schemas.errors import ErrorCode, FieldError


class GradhorizonError(Exception):
    """Base of everything raised on purpose by this package."""


class ConnectionFailed(GradhorizonError):
    """No answer came: nothing listens at that address, or the connection broke before the answer."""


class TimedOut(ConnectionFailed):
    """The connection stood, but the answer did not come in time. The service may still be computing."""


class _Answered(GradhorizonError):
    """The facts of a problem document (RFC 9457).

    `status` is the HTTP status, None where no HTTP was involved; `code` is stable, `detail` a sentence that says what
    to change, `errors` the faults by JSON path, `limit` the name of the service's setting, `instance` this occurrence.
    """

    default_code: str = ""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        title: str = "",
        errors: Sequence[FieldError] = (),
        limit: str | None = None,
        instance: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.status = status
        self.title = title
        self.errors = tuple(errors)
        self.limit = limit
        self.instance = instance

    def __str__(self) -> str:
        """Return the sentence of the service; where it found several faults, all of them, one a line."""
        if len(self.errors) < 2:
            return self.detail
        return "\n".join([self.detail, *(f"  {error.path}: {error.message}" for error in self.errors)])


class RequestRefused(_Answered):
    """The request was read and will not be computed as it is; sending it again changes nothing."""

    default_code = "invalid_request"


class InvalidRequest(RequestRefused):
    """A field is missing, unknown, of the wrong type, value or shape; `errors` names it."""


class CannotRun(InvalidRequest):
    """The request is well-formed, but what it asks for does not exist for these numbers."""

    default_code = "cannot_run"


class NotApplicable(RequestRefused):
    """A diagnostic was asked for by name that means nothing for this network."""

    default_code = "diagnostic_not_applicable"


class LimitExceeded(RequestRefused):
    """A size is over a limit of this service; `limit` names the setting."""

    default_code = "limit_exceeded"


class CostOverLimit(LimitExceeded):
    """The estimated time or memory of the computation is over what the service answers synchronously.

    `estimate` is the estimated number, in the unit of the limit, where the service gives it.
    """

    default_code = "cost_over_limit"
    estimate: float | None = None


class NotFound(RequestRefused):
    """The service knows no such address (an older service, a wrong base URL), or has no such artifact (any more)."""

    default_code = "not_found"


class ServerFailed(_Answered):
    """The service could not do its work, through no fault of the request."""

    default_code = "internal_error"


class Overloaded(ServerFailed):
    """The service takes no more work at the moment; `retry_after` is its advice in seconds, where it gave one."""

    default_code = "overloaded"
    retry_after: float | None = None


class NotReady(Overloaded):
    """The service is still starting."""

    default_code = "not_ready"


class ComputationTimedOut(ServerFailed):
    """The computation was stopped at the service's time limit; the same request would be stopped again."""

    default_code = "computation_timeout"


class GatewayFailed(ServerFailed):
    """A proxy answered in place of the service (502, 504)."""

    default_code = "gateway_failed"


class NotUnderstood(GradhorizonError):
    """An answer came that is not the service's, or not of a version this client reads; `excerpt` is its beginning."""

    def __init__(self, detail: str, *, status: int | None = None, excerpt: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.excerpt = excerpt


class ServiceMissing(GradhorizonError):
    """The service was to run in this process, but a package it needs is not installed; `missing` names it."""

    def __init__(self, detail: str, *, missing: str = "") -> None:
        super().__init__(detail)
        self.missing = missing


BY_CODE: dict[ErrorCode, type[RequestRefused | ServerFailed]] = {
    "invalid_json": InvalidRequest,
    "invalid_request": InvalidRequest,
    "invalid_shape": InvalidRequest,
    "invalid_tensor": InvalidRequest,
    "invalid_artifact": InvalidRequest,
    "unused_part": InvalidRequest,
    "nothing_recognised": CannotRun,
    "cannot_run": CannotRun,
    "diagnostic_not_applicable": NotApplicable,
    "limit_exceeded": LimitExceeded,
    "cost_over_limit": CostOverLimit,
    "body_too_large": LimitExceeded,
    "unsupported_media_type": RequestRefused,
    "not_acceptable": RequestRefused,
    "not_found": NotFound,
    "artifact_not_found": NotFound,
    "method_not_allowed": RequestRefused,
    "request_timeout": RequestRefused,
    "insufficient_storage": LimitExceeded,
    "overloaded": Overloaded,
    "not_ready": NotReady,
    "computation_timeout": ComputationTimedOut,
    "internal_error": ServerFailed,
}


def class_of(code: str, status: int | None) -> type[RequestRefused | ServerFailed]:
    """Return the class of a code; a code of a newer service goes by its status."""
    by_status = ServerFailed if status is not None and status >= 500 else RequestRefused
    return BY_CODE.get(cast("ErrorCode", code), by_status)
