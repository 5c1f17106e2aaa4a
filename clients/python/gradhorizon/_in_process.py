"""The clients without a server: the service's own analysis, called in this process.

Requests are built as for the wire and read by the service's own reader, so that what is refused, what is computed and
what is reported are the same; only large arrays are handed over instead of being copied.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import fields
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ._async_client import AsyncClient
from ._base import BaseClient, adapter
from ._client import Client
from ._exceptions import CostOverLimit, RequestRefused, class_of
from ._extras import service_extra
from ._local_artifacts import PREFIX as ARTIFACTS
from ._local_artifacts import LocalArtifacts
from .schemas import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._base import Call, Checkpoint
    from ._transport import Body

Report = TypeVar("Report")

CHARTS = "/v1/charts/"
ADDRESS = "http://in-process"
"""Stands where a base URL would; nothing is ever sent there."""


class Engine:
    """The service's analysis behind the addresses of its HTTP interface; one computation at a time.

    BLAS has one thread while it computes, as in the service's workers: the same request gives the same bits.
    """

    def __init__(self, limits: dict[str, Any]) -> None:
        with service_extra():
            from threadpoolctl import ThreadpoolController

            from gradhorizon_service import claims
            from gradhorizon_service.analysis import catalog, tasks
            from gradhorizon_service.analysis.cost import Costs
            from gradhorizon_service.analysis.limits import Limits
            from gradhorizon_service.artifacts.limits import ArtifactLimits
        stored = {field.name for field in fields(ArtifactLimits)} & limits.keys()
        self._artifact_limits = ArtifactLimits(**{name: limits.pop(name) for name in stored})
        self._limits = Limits(**limits)
        self.artifacts = LocalArtifacts(self._artifact_limits)
        self._costs = Costs.measure()
        self._checkpoint_operations = tasks.CHECKPOINT_OPERATIONS
        self._blas = ThreadpoolController()
        self._turn = Lock()
        self._answers: dict[str, Callable[[Body | None], object]] = {
            **{
                path: partial(self._computed, operation)
                for path, operation in {**tasks.OPERATIONS, **claims.OPERATIONS}.items()
            },
            "/v1/claims": lambda _: claims.list_claims(),
            "/v1/catalog": lambda _: catalog.build_catalog(
                self._limits, self._artifact_limits, claims=claims.offers(), charts=claims.chart_offers()
            ),
            "/healthz": lambda _: {"status": "ok"},
            "/readyz": lambda _: {"status": "ready"},
        }

    def answer(self, call: Call[Report]) -> Report:
        """Return the report of a call; raises what the service's answer would have raised."""
        from gradhorizon_service.analysis.errors import RequestRefused as Refused

        try:
            report = self._reported(call)
        except Refused as error:
            raise refusal(error) from error
        content = dict(report) if isinstance(report, BaseModel) else report
        return adapter(call.report).validate_python(content)

    def _reported(self, call: Call[Any]) -> object:
        if call.path.startswith(ARTIFACTS):
            return self.artifacts.answer(call)
        if call.path.startswith(CHARTS):
            return self._drawn(call)
        template, sha256 = _address(call.path)
        if template in self._checkpoint_operations:
            return self._surveyed(self._checkpoint_operations[template], call.body, sha256)
        if call.path not in self._answers:
            raise class_of("not_found", None)(f"nothing is at {call.path}", code="not_found")
        return self._answers[call.path](call.body)

    def _drawn(self, call: Call[Any]) -> bytes:
        from gradhorizon_service.claims import CHARTS as KINDS

        from ._charts import Chart, drawn, picture_of

        kind = call.path.removeprefix(CHARTS)
        if kind not in KINDS:
            says = f"there is no such kind of chart; there are {', '.join(KINDS)}"
            raise class_of("not_found", None)(says, code="not_found")
        assert call.body is not None
        return picture_of(Chart(drawn(KINDS[kind], json.loads(call.body.document))), call.accept)

    def _computed(self, operation: Any, body: Body | None) -> object:
        from gradhorizon_service.analysis.tasks import run_inline

        task = operation.prepare(_read(operation.request, body, self.artifacts), self._limits, self._costs)
        with self._turn, self._blas.limit(limits=1, user_api="blas"):
            return run_inline(task)

    def _surveyed(self, operation: Any, body: Body | None, sha256: str) -> object:
        from gradhorizon_service.analysis.tasks import run_inline

        request = _read(operation.request, body, self.artifacts)
        with self._turn, self._blas.limit(limits=1, user_api="blas"):
            surveys = [self.artifacts.survey(name, request) for name in operation.files(request, sha256)]
            return run_inline(operation.prepare(request, surveys, self._limits, self._costs))


class InProcessClient(Client):
    """What `Client.in_process` returns."""

    def __init__(self, **limits: Any) -> None:
        BaseClient.__init__(self, ADDRESS, retries=0, headers=None)
        self._engine = Engine(limits)

    def close(self) -> None:
        """Forget what was uploaded; there are no connections."""
        self._engine.artifacts.close()

    def _stored(self, checkpoint: Checkpoint) -> str:
        """A file that is here already stays where it is."""
        if isinstance(checkpoint, Path):
            return self._engine.artifacts.mention(checkpoint)
        return super()._stored(checkpoint)

    def _send_once(self, call: Call[Report]) -> Report:
        return self._engine.answer(call)


class AsyncInProcessClient(AsyncClient):
    """What `AsyncClient.in_process` returns; computes in a thread, so that the event loop goes on."""

    def __init__(self, **limits: Any) -> None:
        BaseClient.__init__(self, ADDRESS, retries=0, headers=None)
        self._engine = Engine(limits)

    async def aclose(self) -> None:
        """Forget what was uploaded; there are no connections."""
        self._engine.artifacts.close()

    async def _stored(self, checkpoint: Checkpoint) -> str:
        """A file that is here already stays where it is."""
        if isinstance(checkpoint, Path):
            return self._engine.artifacts.mention(checkpoint)
        return await super()._stored(checkpoint)

    async def _send_once(self, call: Call[Report]) -> Report:
        return await asyncio.to_thread(self._engine.answer, call)


def _address(path: str) -> tuple[str, str]:
    """Return the template of an address and the hash in it, empty where there is none."""
    match = re.fullmatch("/v1/checkpoints/([0-9a-f]{64})/diagnoses", path)
    return (path, "") if match is None else ("/v1/checkpoints/{sha256}/diagnoses", match[1])


def refusal(error: Any) -> RequestRefused:
    """Return a refusal of the service as the client raises it; there is no HTTP status."""
    faults = [FieldError(path=fault.path, message=fault.message) for fault in error.faults]
    refused = class_of(error.code, None)(error.message, code=error.code, errors=faults, limit=error.limit)
    if isinstance(refused, CostOverLimit):
        refused.estimate = getattr(error, "estimate", None)
    assert isinstance(refused, RequestRefused)
    return refused


def _read(model: type[Any], body: Body | None, artifacts: LocalArtifacts) -> Any:
    from gradhorizon_service.analysis.reading import read_request
    from gradhorizon_service.formats.errors import JsonFault, TooManyValues
    from gradhorizon_service.formats.strict_json import read_json

    assert body is not None
    try:
        data = read_json(body.document)
    except JsonFault as fault:
        code = "limit_exceeded" if isinstance(fault, TooManyValues) else "invalid_json"
        error = FieldError(path=fault.path, message=fault.message)
        raise class_of(code, None)(f"{fault.path}: {fault.message}", code=code, errors=[error]) from None
    return read_request(model, data, body.parts, artifacts.load(data))
