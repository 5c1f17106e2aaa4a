"""What the web layer itself refuses, before the analysis sees a request."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis.errors import Fault, InvalidRequest, RequestRefused
from ..formats.errors import JsonFault, TensorFault, TooManyValues
from ..formats.json_path import json_path


class InvalidJson(InvalidRequest):
    """The JSON text breaks the rules of JSON."""

    code = "invalid_json"


class TooManyJsonValues(InvalidRequest):
    """The JSON text holds more loose values than a request has use for."""

    code = "limit_exceeded"


class InvalidTensor(InvalidRequest):
    """A binary part is not what its file name says, or has no file name."""

    code = "invalid_tensor"

    def __init__(self, part: str, message: str) -> None:
        super().__init__((Fault(json_path(["parts", part]), message),))


class InvalidMultipart(RequestRefused):
    """The multipart envelope itself is broken, or holds too much."""

    code = "invalid_tensor"


class BodyTooLarge(RequestRefused):
    """More bytes than this server accepts."""

    code = "body_too_large"

    def __init__(self, limit: str, allowed: int, advice: str) -> None:
        super().__init__(
            f"the body is larger than this server's limit {limit} = {allowed} bytes; {advice}", limit=limit
        )


class UnsupportedMediaType(RequestRefused):
    """A content type or encoding that is not read here."""

    code = "unsupported_media_type"


class NotAcceptable(RequestRefused):
    """The client accepts none of the types that the answer comes in."""

    code = "not_acceptable"


class UnknownName(RequestRefused):
    """Nothing of that kind has this name."""

    code = "not_found"

    def __init__(self, what: str, names: Iterable[str]) -> None:
        super().__init__(f"there is no such {what}; there are {', '.join(names)}")


class Overloaded(RequestRefused):
    """No room for this request now; the same request later may succeed."""

    code = "overloaded"

    def __init__(self, message: str, limit: str, retry_after_seconds: float) -> None:
        super().__init__(message, limit=limit)
        self.retry_after_seconds = retry_after_seconds


def refused_json(fault: JsonFault) -> InvalidRequest:
    """Return the refusal for a fault of the JSON text."""
    kind = TooManyJsonValues if isinstance(fault, TooManyValues) else InvalidJson
    return kind((Fault(fault.path, fault.message),))


def refused_tensor(part: str, fault: TensorFault) -> InvalidTensor:
    """Return the refusal for a fault of a binary part."""
    return InvalidTensor(part, fault.message)
