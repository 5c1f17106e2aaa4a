"""From a request to its report: small ones at once, large ones without ever holding the event loop.

What holds Python's lock for long (JSON, the computation) runs in a worker process; what releases it (checking, hashing
and converting large arrays, decompression) runs in a thread.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gradhorizon.schemas.arrays import Array
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import RequestType, read_request
from gradhorizon_service.analysis.tasks import Task, run_inline, translate
from gradhorizon_service.formats.errors import JsonFault, TensorFault
from gradhorizon_service.formats.strict_json import read_json
from gradhorizon_service.formats.tensors import Content, read_tensors
from gradhorizon_service.worker.errors import CannotRun

from .bodies import Body, receive_body
from .refusals import NotAcceptable, refused_json, refused_tensor
from .service import Service

Result = TypeVar("Result")
Prepare = Callable[[RequestType, Limits, Costs], Task]

JSON = "application/json"


async def answer(
    request: Request, service: Service, model: type[RequestType], prepare: Prepare[RequestType]
) -> Response:
    """Read a request as `model`, prepare and compute it, and return the report as JSON."""
    require_json_accepted(request)
    with service.pending.hold() as hold:
        body = await receive_body(request, service.settings, hold)
        try:
            if hold.bytes > service.settings.inline_json_bytes:
                report = await _unless_disconnected(request, _answer_large(service, body, model, prepare))
            else:
                task = _prepared(service, read_text(body.text), body, model, prepare)
                if task.estimated_seconds <= service.settings.inline_seconds:
                    report = encode(run_inline(task))
                else:
                    report = await _unless_disconnected(request, _computed(service, task))
        finally:
            await body.close()
    return Response(report, media_type=JSON)


def require_json_accepted(request: Request) -> None:
    """Raise NotAcceptable where the client's Accept leaves JSON out."""
    choices = request.headers.get("accept", "*/*").lower().replace(" ", "").split(",")
    if not any(map(_means_json, choices)):
        raise NotAcceptable("answers are application/json: leave Accept out or let it include that")


def _means_json(choice: str) -> bool:
    media_range, *parameters = choice.split(";")
    return media_range in (JSON, "application/*", "*/*") and "q=0" not in parameters


def read_text(text: list[bytes]) -> Any:
    """Parse a JSON text here."""
    try:
        return read_json(b"".join(text))
    except JsonFault as fault:
        raise refused_json(fault) from None


async def _answer_large(
    service: Service, body: Body, model: type[RequestType], prepare: Prepare[RequestType]
) -> bytes:
    tree = await _read_elsewhere(service, body.text)
    task = await asyncio.to_thread(_prepared, service, tree, body, model, prepare)
    return await _computed(service, task)


async def _read_elsewhere(service: Service, text: list[bytes]) -> Any:
    """Parse a JSON text in a worker process, unless it is short."""
    if sum(map(len, text)) <= service.settings.inline_json_bytes:
        return read_text(text)
    try:
        return await service.pool.run(
            "read_json", list(map(pickle.PickleBuffer, text)), timeout=service.settings.computation_seconds
        )
    except JsonFault as fault:
        raise refused_json(fault) from None


def _prepared(
    service: Service, tree: Any, body: Body, model: type[RequestType], prepare: Prepare[RequestType]
) -> Task:
    tensors = _tensors(body, service.settings.max_body_bytes)
    return prepare(read_request(model, tree, tensors), service.limits, service.costs)


def _tensors(body: Body, max_bytes: int) -> Mapping[str, Content]:
    """Read every part; together, decompressed, they hold at most `max_bytes`."""
    tensors: dict[str, Content] = {}
    for name, upload in body.uploads.items():
        try:
            tensors[name] = read_tensors(upload.filename or "", upload.file.read(), max_bytes)
        except TensorFault as fault:
            raise refused_tensor(name, fault) from None
        max_bytes = max(0, max_bytes - _bytes(tensors[name]))
    return tensors


def _bytes(content: Content) -> int:
    return sum(array.nbytes for array in _arrays(content))


def _arrays(content: Content) -> list[Array]:
    return list(content.values()) if isinstance(content, dict) else [content]


async def _computed(service: Service, task: Task) -> bytes:
    timeout = service.settings.computation_seconds
    try:
        result, seconds = await service.pool.run(task.function, task.problem, timeout=timeout)
    except CannotRun as error:
        raise translate(error) from error
    return await asyncio.to_thread(lambda: encode(task.report(result, seconds)))


async def _unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Await the work, and abandon it as soon as the client has gone: its slot belongs to somebody else."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
