"""A checked request, ready to be computed here or in a worker process, and its result as a report."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from time import perf_counter
from typing import Any, Protocol

from gradhorizon.schemas._base import ReportModel
from gradhorizon_service.worker.entry import FUNCTIONS
from gradhorizon_service.worker.errors import CannotRun

from ..errors import CannotCompute, RequestRefused

ENGINE_VERSION = version("gradhorizon")


class Task(Protocol):
    """One computation: which function of the worker, its argument, and how its result reads."""

    @property
    def id(self) -> str:
        """The contract's id of the request."""
        ...

    @property
    def estimated_seconds(self) -> float:
        """Computing time, good to a factor of a few."""
        ...

    @property
    def function(self) -> str:
        """Name in `worker.entry.FUNCTIONS`."""
        ...

    @property
    def problem(self) -> Any:
        """The function's argument: plain data, picklable."""
        ...

    def report(self, result: Any, seconds: float) -> ReportModel:
        """Turn the function's result into the report of the contract."""
        ...


def provenance(
    seed: int, seconds: float, algorithms: Mapping[str, str], inputs_sha256: str
) -> dict[str, Any]:
    """What computed a report, from what."""
    return {
        "engine_version": ENGINE_VERSION,
        "seed": seed,
        "seconds": seconds,
        "algorithms": dict(algorithms),
        "inputs_sha256": inputs_sha256,
    }


def run_inline(task: Task) -> ReportModel:
    """Compute a task in this process. Raises RequestRefused."""
    start = perf_counter()
    try:
        result = FUNCTIONS[task.function](task.problem)
    except CannotRun as error:
        raise translate(error) from error
    return task.report(result, perf_counter() - start)


def translate(error: CannotRun) -> RequestRefused:
    """A refusal of the worker as a refusal of the request."""
    return CannotCompute(f"$.{error.field}" if error.field else "$", error.message)
