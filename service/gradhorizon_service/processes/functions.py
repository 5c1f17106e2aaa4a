"""What a worker process can be asked to do, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from gradhorizon_service.formats.strict_json import read_json
from gradhorizon_service.worker.entry import FUNCTIONS as COMPUTATIONS

from . import rendering


def _timed(function: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, float]]:
    """Return the seconds beside the result: here, because a report says how long it took to compute, not to wait."""

    def run(problem: Any) -> tuple[Any, float]:
        started = perf_counter()
        result = function(problem)
        return result, perf_counter() - started

    return run


def _read_json(pieces: Iterable[memoryview]) -> Any:
    return read_json(b"".join(pieces))


def _inspect_artifact(*arguments: Any) -> Any:
    from gradhorizon_service.artifacts import inspection  # 0.15 s, which most processes never need

    return inspection.inspect(*arguments)


def _load_tensors(*arguments: Any) -> Any:
    from gradhorizon_service.artifacts import inspection

    return inspection.load(*arguments)


def _survey_checkpoint(*arguments: Any) -> Any:
    from gradhorizon_service.checkpoints import surveying

    return surveying.survey(*arguments)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: _timed(function) for name, function in COMPUTATIONS.items()},
    "read_json": _read_json,
    "inspect_artifact": _inspect_artifact,
    "load_tensors": _load_tensors,
    "survey_checkpoint": _survey_checkpoint,
    "svg": rendering.svg,
    "png": rendering.png,
}
TABLE = f"{__name__}:FUNCTIONS"
"""What a pool is told, so that its processes find the functions."""
