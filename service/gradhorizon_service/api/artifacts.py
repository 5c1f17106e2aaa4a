"""Artifacts off the wire and into requests.

Disks are slow and files come from anybody: threads write and look up, worker processes open what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from gradhorizon_service.artifacts.describing import description, refused
from gradhorizon_service.artifacts.errors import ArtifactNotFound, InvalidArtifact
from gradhorizon_service.artifacts.incoming import Incoming
from gradhorizon_service.artifacts.references import Array, Loaded, Reference, plan
from gradhorizon_service.checkpoints import CheckpointFault
from gradhorizon_service.processes.errors import TaskTimeout
from gradhorizon_service.settings import Settings

from .admission import Hold
from .bodies import declared_bytes
from .disconnects import unless_disconnected
from .service import Service

_WRITTEN_AT_ONCE = 2**20
"""Bytes: one turn of a thread for each, instead of one for each packet."""


@dataclass(frozen=True)
class Received:
    """A stored file: its hash, what is in it, and whether it was not here before."""

    sha256: str
    description: bytes
    new: bool


async def receive_artifact(request: Request, service: Service, name: str | None) -> Received:
    """Store the body of a request. Raises a RequestRefused, or ClientDisconnect.

    Nothing stays on disk unless the whole file arrived and could be read.
    """
    with service.pending.hold() as hold:
        hold.add(_WRITTEN_AT_ONCE)
        incoming = await service.on_disk(service.artifacts.receive, declared_bytes(request))
        try:
            async for piece in _joined(request.stream()):
                await service.on_disk(incoming.write, piece)
            sha256 = await service.on_disk(incoming.finish)
            if known := await _known(service, sha256):
                return Received(sha256, known, new=False)
            return await unless_disconnected(request, _kept(service, incoming, name))
        finally:
            # Shielded: a server that stops leaves no file behind either.
            await asyncio.shield(service.on_disk(incoming.discard))


async def load_references(service: Service, references: list[Reference], hold: Hold) -> Loaded:
    """Load the tensors a request refers to. Raises LimitExceeded or Overloaded; other faults are told by the field."""
    if not references:
        return {}
    settings = service.settings
    planned = await service.on_disk(
        plan, service.artifacts, references, settings.max_parts, settings.max_body_bytes
    )
    hold.add(planned.total_bytes)
    return planned.loaded(
        {sha256: await _load(service, sha256, names) for sha256, names in planned.names().items()}
    )


async def _joined(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pieces: list[bytes] = []
    waiting = 0
    async for piece in stream:
        pieces.append(piece)
        waiting += len(piece)
        if waiting >= _WRITTEN_AT_ONCE:
            yield b"".join(pieces)
            pieces, waiting = [], 0
    yield b"".join(pieces)


async def _known(service: Service, sha256: str) -> bytes | None:
    try:
        return await service.on_disk(service.artifacts.describe, sha256)
    except ArtifactNotFound:
        return None


async def _kept(service: Service, incoming: Incoming, name: str | None) -> Received:
    found = await _inspected(service, incoming.content)
    described = await service.on_disk(description, incoming, name, service.artifacts.now(), found)
    new = await service.on_disk(service.artifacts.publish, incoming, described)
    if not new:  # somebody was faster with the same content
        described = await _known(service, incoming.sha256) or described
    return Received(incoming.sha256, described, new)


async def _inspected(service: Service, path: Path) -> Mapping[str, Any]:
    seconds = service.settings.computation_seconds
    try:
        found: Mapping[str, Any] = await service.pool.run(
            "inspect_artifact", str(path), *bounds(service.settings), timeout=seconds
        )
    except CheckpointFault as fault:
        raise refused(fault) from None
    except MemoryError:
        raise InvalidArtifact(
            "needs more memory to be read than there is; save fewer tensors in it"
        ) from None
    except TaskTimeout:
        raise InvalidArtifact(
            f"takes longer to read than this server's limit computation_seconds = {seconds:g}; save fewer tensors",
            limit="computation_seconds",
        ) from None
    return found


async def _load(service: Service, sha256: str, names: list[str]) -> Mapping[str, Array] | str:
    path = service.artifacts.content(sha256)
    try:
        arrays: Mapping[str, Array] = await service.pool.run(
            "load_tensors",
            str(path),
            names,
            *bounds(service.settings),
            timeout=service.settings.computation_seconds,
        )
    except FileNotFoundError:
        return "refers to an artifact that was removed a moment ago; upload the file again"
    except CheckpointFault as fault:
        return f"refers to an artifact that {fault.message}"
    return arrays


def bounds(settings: Settings) -> tuple[int, int, int]:
    """What reading a file may cost. A tensor with gaps is held twice while they are closed."""
    return settings.max_artifact_bytes, settings.max_artifact_tensors, settings.memory_bytes // 2
