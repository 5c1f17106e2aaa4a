"""A request's body off the wire: JSON text and binary parts, still unread, within the limits of the server."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..analysis.errors import Fault, InvalidRequest
from ..settings import Settings
from .admission import Hold
from .refusals import BodyTooLarge, InvalidMultipart, InvalidTensor, Overloaded, UnsupportedMediaType

REQUEST_PART = "request"
"""The part of a multipart request that holds the JSON."""

_USE_BINARY = "send large arrays as binary parts of a multipart/form-data request"
_USE_LESS = "send fewer or smaller arrays, or ask for a larger limit"
_NO_FILE_NAME = (
    "came without a file name; give every part but 'request' one that ends in .npy, .npz or .safetensors "
    "(parts without a file name are capped at 1 MB)"
)


@dataclass(frozen=True)
class Body:
    """What arrived: the JSON text, and the other parts by name. Close it."""

    text: list[bytes]  # in pieces as they came: joining 40 MB would hold everybody for 25 ms
    uploads: Mapping[str, UploadFile]

    async def close(self) -> None:
        """Give the parts' temporary files back."""
        for upload in self.uploads.values():
            await upload.close()


async def receive_body(request: Request, settings: Settings, hold: Hold) -> Body:
    """Receive a JSON or multipart body; raises a RequestRefused, or ClientDisconnect."""
    require_identity(request)
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    receive = _RECEIVERS.get(media_type.strip().lower())
    if receive is None:
        raise UnsupportedMediaType(
            "send Content-Type: application/json, or multipart/form-data with binary parts"
        )
    if receive is _receive_json and not _is_utf8(parameters):
        raise UnsupportedMediaType(
            "JSON is UTF-8: send Content-Type: application/json without another charset"
        )
    return await receive(request, settings, hold)


def require_identity(request: Request) -> None:
    """Raise UnsupportedMediaType where the body is compressed."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType("bodies are read as they are: send no Content-Encoding")


def declared_bytes(request: Request) -> int | None:
    """Return the length of the body, where the client says it."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else None


async def _receive_json(request: Request, settings: Settings, hold: Hold) -> Body:
    limit = min(settings.max_json_bytes, settings.max_body_bytes)
    too_large = BodyTooLarge("max_json_bytes", limit, _USE_BINARY)
    return Body([chunk async for chunk in _limited(request, limit, too_large, hold)], {})


async def _receive_multipart(request: Request, settings: Settings, hold: Hold) -> Body:
    too_large = BodyTooLarge("max_body_bytes", settings.max_body_bytes, _USE_LESS)
    stream = _limited(request, settings.max_body_bytes, too_large, hold)
    parser = MultiPartParser(
        request.headers, stream, max_files=settings.max_parts + 1, max_fields=settings.max_parts + 1
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidMultipart(
            f"{error.message} Parts without a file name are capped at 1 MB, so give every part one, and at most "
            f"max_parts = {settings.max_parts} parts besides '{REQUEST_PART}' are read",
            limit="max_parts",
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Overloaded(
            "no room to keep the parts; send the request again later", "max_pending_bytes", 10
        ) from error
    try:
        return await _sorted_out(form)
    except BaseException:
        await form.close()
        raise


async def _sorted_out(form: FormData) -> Body:
    text: bytes | None = None
    uploads: dict[str, UploadFile] = {}
    for name, value in form.multi_items():
        if name in uploads or (name == REQUEST_PART and text is not None):
            raise InvalidTensor(name, "came twice; give every part a name of its own")
        if name == REQUEST_PART:
            text = value.encode() if isinstance(value, str) else await _whole(value)
        elif isinstance(value, str) or not value.filename:
            raise InvalidTensor(name, _NO_FILE_NAME)
        else:
            uploads[name] = value
    if text is None:
        raise InvalidRequest((Fault("$", f"is missing: send the JSON as the part '{REQUEST_PART}'"),))
    return Body([text], uploads)


async def _whole(upload: UploadFile) -> bytes:
    try:
        return await upload.read()
    finally:
        await upload.close()


async def _limited(
    request: Request, limit: int, too_large: BodyTooLarge, hold: Hold
) -> AsyncGenerator[bytes, None]:
    """The body's chunks, refused by the declared length or, where there is none, as soon as too much has come."""
    if (declared_bytes(request) or 0) > limit:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_large
        hold.add(len(chunk))
        yield chunk


def _is_utf8(parameters: str) -> bool:
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"') in ("utf-8", "utf8")
    return True


_RECEIVERS: Mapping[str, Callable[[Request, Settings, Hold], Awaitable[Body]]] = {
    "application/json": _receive_json,
    "multipart/form-data": _receive_multipart,
}
