"""What both clients share: requests are built and answers are read here; `Client` and `AsyncClient` only send."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import httpx
import stamina
from pydantic import BaseModel, TypeAdapter, ValidationError

from ._charts import MEDIA_TYPES, Picture, kind_of
from ._exceptions import (
    ConnectionFailed,
    CostOverLimit,
    GatewayFailed,
    InvalidRequest,
    NotUnderstood,
    Overloaded,
    RequestRefused,
    ServerFailed,
    TimedOut,
    class_of,
)
from ._reports import (
    CheckpointComparison,
    CheckpointDiagnosis,
    Claim,
    Claims,
    Clippings,
    Comparison,
    Descent,
    Diagnosis,
    MeanField,
    Spectrum,
)
from ._transport import Body, build_body
from ._uploads import Source, Upload
from ._version import __version__
from .schemas.artifacts import Artifact
from .schemas.catalog import Catalog
from .schemas.checkpoints import CheckpointComparisonRequest, CheckpointDiagnosisRequest
from .schemas.clippings import ClippingsRequest
from .schemas.comparisons import ComparisonRequest
from .schemas.descents import DescentRequest
from .schemas.diagnoses import DiagnosisRequest
from .schemas.errors import FieldError
from .schemas.mean_fields import MeanFieldRequest
from .schemas.spectra import SpectrumRequest

# stamina logs every retry as a warning, which Python prints bare where nobody configured logging.
logging.getLogger("stamina").addHandler(logging.NullHandler())

DEFAULT_URL = "http://localhost:8000"
DEFAULT_TIMEOUT = httpx.Timeout(240.0, connect=5.0)
"""Longer than the service's own limits, 30 s of waiting and 180 s of computing: its answer says more than a timeout."""
DEFAULT_RETRIES = 2
LONGEST_WAIT = 30.0
"""Seconds the client waits at most before it tries again; a service that asks for more is reported instead."""

Report = TypeVar("Report")
Checkpoint: TypeAlias = "str | Path | Artifact"
"""A file: the hash or the description of one that was uploaded, or the path of one that is still to be."""
Json: TypeAlias = Mapping[str, Any]
"""A JSON object in which arrays may stand wherever the contract has numbers."""


@dataclass(frozen=True)
class Call(Generic[Report]):
    """One request: where it goes, what it carries, and what its answer is."""

    method: str
    path: str
    report: type[Report]
    body: Body | None = None
    upload: Upload | None = None
    accept: str = "application/json"


class BaseClient:
    """Requests and answers of both clients, and when to try again."""

    def __init__(self, base_url: str, *, retries: int, headers: Mapping[str, str] | None) -> None:
        if retries < 0:
            raise ValueError(f"retries is {retries}; it is the number of further attempts, 0 or more")
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"the base URL {base_url!r} must begin with http:// or https://")
        self.base_url = base_url.rstrip("/")
        self._retries = retries
        self._headers = {"user-agent": f"gradhorizon-python/{__version__}", **(headers or {})}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    # Calls

    def _diagnosis(self, request: DiagnosisRequest | Json | None, **fields: Any) -> Call[Diagnosis]:
        return Call("POST", "/v1/diagnoses", Diagnosis, build_body(_merged(request, fields)))

    def _comparison(self, request: ComparisonRequest | Json | None, **fields: Any) -> Call[Comparison]:
        return Call("POST", "/v1/comparisons", Comparison, build_body(_merged(request, fields)))

    def _spectrum(self, source: Any, **fields: Any) -> Call[Spectrum]:
        whole = isinstance(source, SpectrumRequest) or (
            isinstance(source, Mapping) and not isinstance(source.get("source", ""), str)
        )
        request = _merged(source, fields) if whole else _merged({"source": source}, fields)
        return Call("POST", "/v1/spectra", Spectrum, build_body(request))

    def _clippings(self, request: ClippingsRequest | Json | None, **fields: Any) -> Call[Clippings]:
        return Call("POST", "/v1/clippings", Clippings, build_body(_merged(request, fields)))

    def _descent(self, request: DescentRequest | Json | None, **fields: Any) -> Call[Descent]:
        return Call("POST", "/v1/descents", Descent, build_body(_merged(request, fields)))

    def _mean_field(self, request: MeanFieldRequest | Json | None, **fields: Any) -> Call[MeanField]:
        return Call("POST", "/v1/mean-fields", MeanField, build_body(_merged(request, fields)))

    def _claims(self) -> Call[Claims]:
        return Call("GET", "/v1/claims", Claims)

    def _claim(self, name: str, parameters: dict[str, Any]) -> Call[Claim]:
        return Call("POST", f"/v1/claims/{quote(name, safe='')}", Claim, build_body(parameters))

    def _chart(self, report: Any, kind: str | None, picture: Picture) -> Call[bytes]:
        if isinstance(report, Mapping):
            document = json.dumps(report, allow_nan=False).encode()
        else:
            document = report.to_json().encode()
        path = f"/v1/charts/{quote(kind or kind_of(report), safe='')}"
        return Call("POST", path, bytes, Body(document, {}), accept=MEDIA_TYPES[picture])

    def _upload(self, source: Source, name: str | None) -> Call[Artifact]:
        upload = Upload.of(source, name)
        query = "?" + urlencode({"name": upload.name}) if upload.name else ""
        return Call("POST", "/v1/artifacts" + query, Artifact, upload=upload)

    def _artifact(self, sha256: str) -> Call[Artifact]:
        return Call("GET", artifact_path(sha256), Artifact)

    def _deletion(self, sha256: str) -> Call[None]:
        return Call("DELETE", artifact_path(sha256), NoneType)

    def _checkpoint_diagnosis(
        self, sha256: str, request: CheckpointDiagnosisRequest | Json | None, **fields: Any
    ) -> Call[CheckpointDiagnosis]:
        path = artifact_path(sha256).replace("/artifacts/", "/checkpoints/", 1) + "/diagnoses"
        return Call("POST", path, CheckpointDiagnosis, build_body(_merged(request, fields)))

    def _checkpoint_comparison(
        self, request: CheckpointComparisonRequest | Json | None, **fields: Any
    ) -> Call[CheckpointComparison]:
        body = build_body(_merged(request, fields))
        return Call("POST", "/v1/checkpoint-comparisons", CheckpointComparison, body)

    def _catalog(self) -> Call[Catalog]:
        return Call("GET", "/v1/catalog", Catalog)

    def _health(self) -> Call[dict[str, Any]]:
        return Call("GET", "/healthz", dict)

    def _readiness(self) -> Call[dict[str, Any]]:
        return Call("GET", "/readyz", dict)

    # Sending

    def _arguments(self, call: Call[Any]) -> dict[str, Any]:
        """Return the keyword arguments of `httpx.Client.request` for a call."""
        headers = {"accept": f"{call.accept}, application/problem+json", **self._headers}
        arguments = {"method": call.method, "url": self.base_url + call.path, "headers": headers}
        if call.upload is not None:
            kind, length = "application/octet-stream", str(call.upload.size)
            headers = {**headers, "content-type": kind, "content-length": length}
            return {**arguments, "headers": headers, "content": self._content(call.upload)}
        if call.body is None:
            return arguments
        if call.body.parts:
            return {**arguments, "files": call.body.files()}
        return {
            **arguments,
            "content": call.body.document,
            "headers": {**headers, "content-type": "application/json"},
        }

    def _content(self, upload: Upload) -> Any:
        """Return the pieces of a file as httpx wants them; each attempt reads it from the start."""
        raise NotImplementedError

    def _attempts(self) -> Any:
        """Return stamina's attempts, for `for` and for `async for`; calls are pure computations, safe to repeat."""
        return stamina.retry_context(
            on=wait_before_retry,
            attempts=self._retries + 1,
            timeout=None,
            wait_initial=0.2,
            wait_max=5.0,
            wait_jitter=0.2,
        )

    def _no_answer(self, error: httpx.RequestError | httpx.InvalidURL) -> ConnectionFailed | NotUnderstood:
        """Turn an error of httpx into ours, which says what to look at."""
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ConnectionFailed(
                f"cannot connect to {self.base_url} ({reason}); is the service running there? "
                "`gradhorizon serve` starts one"
            )
        if isinstance(error, httpx.TimeoutException):
            return TimedOut(
                f"{self.base_url} did not answer in time ({reason}); "
                "give the client a longer `timeout`, or ask for less"
            )
        if isinstance(error, httpx.TransportError | httpx.InvalidURL):
            return ConnectionFailed(f"no answer from {self.base_url} ({reason})")
        return NotUnderstood(f"the answer of {self.base_url} cannot be read ({reason})")


def own_base_url(http_client: httpx.Client | httpx.AsyncClient | None) -> str:
    """Return the base URL of an httpx client that was brought along, empty where it has none."""
    return "" if http_client is None else str(http_client.base_url)


def adapter(report: type[Report]) -> TypeAdapter[Report]:
    """Return pydantic's reader of a type; making one costs more than reading a small answer."""
    if report not in _ADAPTERS:
        _ADAPTERS[report] = TypeAdapter(report)
    return _ADAPTERS[report]


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def read_answer(response: httpx.Response, report: type[Report]) -> Report:
    """Return the report in an answer; raises RequestRefused, ServerFailed or NotUnderstood."""
    if not response.is_success:
        raise failure(response)
    try:
        if response.status_code == httpx.codes.NO_CONTENT:
            return adapter(report).validate_python(None)
        if report is bytes:
            return adapter(report).validate_python(response.content)
        return adapter(report).validate_json(response.content)
    except ValidationError as error:
        raise not_understood(
            response, f"is not a {report.__name__} this client ({__version__}) reads"
        ) from error


def failure(response: httpx.Response) -> RequestRefused | ServerFailed | NotUnderstood:
    """Return the exception that an answer other than success means."""
    problem = _problem(response)
    if problem is None:
        return _not_ours(response)
    code = problem["code"]
    error = class_of(code, response.status_code)(
        str(problem.get("detail") or problem.get("title") or code),
        code=code,
        status=response.status_code,
        title=str(problem.get("title", "")),
        errors=_field_errors(problem.get("errors")),
        limit=problem.get("limit"),
        instance=problem.get("instance"),
    )
    if isinstance(error, Overloaded):
        error.retry_after = retry_after(response)
    if isinstance(error, CostOverLimit):
        error.estimate = problem.get("estimate")
    return error


def not_understood(response: httpx.Response, what: str) -> NotUnderstood:
    """Return the exception for an answer that cannot be read, with its beginning."""
    excerpt = response.text[:200]
    kind = response.headers.get("content-type", "no content type")
    detail = f"the answer of {response.url} {what} (status {response.status_code}, {kind}): {excerpt!r}"
    return NotUnderstood(detail, status=response.status_code, excerpt=excerpt)


def wait_before_retry(error: Exception) -> bool | float:
    """Return whether to try again; a number is how many seconds to wait first.

    Not after a refusal, which would only be repeated. Not after a timeout, ours or the service's: it may be computing
    still, and the same request takes as long again.
    """
    if isinstance(error, Overloaded):
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= LONGEST_WAIT else False
    if isinstance(error, ConnectionFailed):
        return isinstance(
            error.__cause__, httpx.ConnectTimeout | httpx.NetworkError | httpx.RemoteProtocolError
        )
    return isinstance(error, GatewayFailed)


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date; None where it says nothing."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None


def artifact_path(sha256: str) -> str:
    """Return the address of an artifact; raises InvalidRequest for anything but a hash, which could be another one."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        message = f"is {sha256[:80]!r}; an artifact has the 64 hexadecimal digits of its sha256 as its name"
        raise InvalidRequest(f"$.sha256: {message}", errors=[FieldError(path="$.sha256", message=message)])
    return f"/v1/artifacts/{sha256}"


def _merged(request: BaseModel | Json | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with those given beside it; what was not given is left to the service."""
    given = {name: value for name, value in fields.items() if value is not None}
    if request is None:
        return given
    if isinstance(request, BaseModel):
        return {**{name: getattr(request, name) for name in request.model_fields_set}, **given}
    if isinstance(request, Mapping):
        return {**request, **given}
    raise TypeError(f"a request is a request model or a mapping, not a {type(request).__name__}")


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    """Return the problem document of an answer, None where it is not one of ours."""
    try:
        document = json.loads(response.content)
    except ValueError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("code"), str) else None


def _not_ours(response: httpx.Response) -> ServerFailed | NotUnderstood:
    """Judge a failure without a problem document: a proxy's where its status says so."""
    status = response.status_code
    says = (
        f"status {status} from {response.url}, and no problem document: a proxy or another program answered"
    )
    if status in (429, 503):
        overloaded = Overloaded(says, status=status)
        overloaded.retry_after = retry_after(response)
        return overloaded
    if status in (502, 504):
        return GatewayFailed(says, status=status)
    if response.has_redirect_location:
        where = response.headers["location"]
        return not_understood(response, f"is a redirection to {where}; use the final address as base URL")
    return not_understood(response, "is not this service's")


def _field_errors(errors: Any) -> list[FieldError]:
    if not isinstance(errors, list):
        return []
    faults = [error for error in errors if isinstance(error, dict)]
    return [
        FieldError(path=str(fault.get("path", "$")), message=str(fault.get("message", "")))
        for fault in faults
    ]
