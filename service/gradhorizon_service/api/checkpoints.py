"""Requests about checkpoints that were uploaded: a worker process surveys each file before anything is prepared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.tasks import CHECKPOINT_OPERATIONS, Task
from gradhorizon_service.analysis.tasks.layered import refused_recognition, survey_request
from gradhorizon_service.artifacts.describing import refused
from gradhorizon_service.artifacts.errors import ArtifactNotFound
from gradhorizon_service.checkpoints import CheckpointFault
from gradhorizon_service.checkpoints.recognition import RecognitionFault
from gradhorizon_service.checkpoints.surveying import Survey

from .admission import Hold
from .answering import answer_gathered
from .artifacts import bounds
from .service import Service


async def answer_checkpoint(request: Request, service: Service, path: str, sha256: str = "") -> Response:
    """Answer an operation about files, by its address; `sha256` is the one in the address."""
    operation = CHECKPOINT_OPERATIONS[path]

    async def gather(asked: Any, hold: Hold) -> Callable[[Limits, Costs], Task]:
        found: dict[str, Survey] = {}
        files = operation.files(asked, sha256)
        for name in dict.fromkeys(files):
            found[name] = await _survey(service, name, asked)
            hold.add(found[name].nbytes)
        return partial(operation.prepare, asked, [found[name] for name in files])

    return await answer_gathered(request, service, operation.request, gather)


async def _survey(service: Service, sha256: str, asked: Any) -> Survey:
    await service.on_disk(service.artifacts.describe, sha256)  # it is there, and used
    path = service.artifacts.content(sha256)
    try:
        survey: Survey = await service.pool.run(
            "survey_checkpoint",
            str(path),
            survey_request(asked),
            *bounds(service.settings),
            timeout=service.settings.computation_seconds,
        )
    except FileNotFoundError:
        raise ArtifactNotFound(sha256) from None
    except RecognitionFault as fault:
        raise refused_recognition(fault) from None
    except CheckpointFault as fault:
        raise refused(fault) from None
    return survey
