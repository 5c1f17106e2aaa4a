"""From a request to its report: small ones at once, large ones without ever holding the event loop.

What holds Python's lock for long (JSON, the computation) runs in a worker process; what releases it (checking, hashing
and converting large arrays, decompression) runs in a thread.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from starlette.requests import Request
from starlette.responses import Response

from gradhorizon.schemas.arrays import Array
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import RequestType, read_request
from gradhorizon_service.analysis.tasks import Task, run_inline, translate
from gradhorizon_service.artifacts.references import Loaded, Reference, references_of
from gradhorizon_service.formats.errors import JsonFault, TensorFault
from gradhorizon_service.formats.strict_json import read_json
from gradhorizon_service.formats.tensors import Content, read_tensors
from gradhorizon_service.worker.errors import CannotRun

from .admission import Hold
from .artifacts import load_references
from .bodies import Body, receive_body
from .disconnects import unless_disconnected
from .refusals import NotAcceptable, refused_json, refused_tensor
from .service import Service

Prepare = Callable[[RequestType, Limits, Costs], Task]
Gather = Callable[[RequestType, Hold], Awaitable[Callable[[Limits, Costs], Task]]]
"""Fetches what else a request is about; what comes back prepares the task."""

JSON = "application/json"


async def answer(
    request: Request, service: Service, model: type[RequestType], prepare: Prepare[RequestType]
) -> Response:
    """Read a request as `model`, prepare and compute it, and return the report as JSON."""
    require_json_accepted(request)
    with service.pending.hold() as hold:
        body = await receive_body(request, service.settings, hold)
        try:
            report = await _Asked(request, service, body, hold, model, prepare).report()
        finally:
            await body.close()
    return Response(report, media_type=JSON)


async def answer_gathered(
    request: Request, service: Service, model: type[RequestType], gather: Gather[RequestType]
) -> Response:
    """Read a request as `model`, fetch what it is about, prepare and compute it elsewhere, and return the report."""
    require_json_accepted(request)
    with service.pending.hold() as hold:
        body = await receive_body(request, service.settings, hold)
        try:
            asked = _Gathered(request, service, body, hold, model, gather)
            report = await unless_disconnected(request, asked.report())
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


@dataclass(frozen=True)
class _Received(Generic[RequestType]):
    """A request that has arrived."""

    request: Request
    service: Service
    body: Body
    hold: Hold
    model: type[RequestType]

    def _read(self, tree: Any, artifacts: Loaded | None = None) -> RequestType:
        tensors = tensors_of(self.body, self.service.settings.max_body_bytes)
        return read_request(self.model, tree, tensors, artifacts)


@dataclass(frozen=True)
class _Asked(_Received[RequestType]):
    """A request that has arrived, and what is to be made of it."""

    prepare: Prepare[RequestType]

    async def report(self) -> bytes:
        """Answer small requests here and now, all others elsewhere and only as long as the client waits."""
        settings = self.service.settings
        if self.hold.bytes > settings.inline_json_bytes:
            return await unless_disconnected(self.request, self._large())
        tree = read_text(self.body.text)
        if references := references_of(tree):
            return await unless_disconnected(self.request, self._referring(tree, references))
        task = self._prepared(tree)
        if task.estimated_seconds <= settings.inline_seconds:
            return encode(run_inline(task))
        return await unless_disconnected(self.request, _computed(self.service, task))

    async def _large(self) -> bytes:
        tree = await read_elsewhere(self.service, self.body.text)
        return await self._referring(tree, await asyncio.to_thread(references_of, tree))

    async def _referring(self, tree: Any, references: list[Reference]) -> bytes:
        loaded = await load_references(self.service, references, self.hold)
        task = await asyncio.to_thread(self._prepared, tree, loaded)
        return await _computed(self.service, task)

    def _prepared(self, tree: Any, artifacts: Loaded | None = None) -> Task:
        return self.prepare(self._read(tree, artifacts), self.service.limits, self.service.costs)


@dataclass(frozen=True)
class _Gathered(_Received[RequestType]):
    """A request that has arrived, and how to fetch what it is about."""

    gather: Gather[RequestType]

    async def report(self) -> bytes:
        """Read, fetch, prepare and compute; never on the event loop."""
        service = self.service
        tree = await read_elsewhere(service, self.body.text)
        references = await asyncio.to_thread(references_of, tree)
        loaded = await load_references(service, references, self.hold)
        request = await asyncio.to_thread(self._read, tree, loaded)
        prepare = await self.gather(request, self.hold)
        return await _computed(service, await asyncio.to_thread(prepare, service.limits, service.costs))


async def read_elsewhere(service: Service, text: list[bytes]) -> Any:
    """Parse a JSON text in a worker process, unless it is short."""
    if sum(map(len, text)) <= service.settings.inline_json_bytes:
        return read_text(text)
    try:
        return await service.pool.run(
            "read_json", list(map(pickle.PickleBuffer, text)), timeout=service.settings.computation_seconds
        )
    except JsonFault as fault:
        raise refused_json(fault) from None


def tensors_of(body: Body, max_bytes: int) -> Mapping[str, Content]:
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
