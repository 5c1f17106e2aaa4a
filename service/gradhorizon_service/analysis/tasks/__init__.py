"""Requests as tasks, one file a noun: what to compute, and how its result reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradhorizon.schemas import (
    CheckpointComparison,
    CheckpointComparisonRequest,
    CheckpointDiagnosis,
    CheckpointDiagnosisRequest,
    Clippings,
    ClippingsRequest,
    Comparison,
    ComparisonRequest,
    Descent,
    DescentRequest,
    Diagnosis,
    DiagnosisRequest,
    MeanField,
    MeanFieldRequest,
    Spectrum,
    SpectrumRequest,
)
from gradhorizon.schemas._base import ReportModel, RequestModel

from ._task import ENGINE_VERSION, Task, provenance, run_inline, translate
from .checkpoints import prepare_checkpoint, prepare_checkpoint_comparison
from .clippings import prepare_clippings
from .comparisons import prepare_comparison
from .descents import prepare_descent
from .diagnoses import prepare_diagnosis
from .mean_fields import prepare_mean_field
from .spectra import prepare_spectrum


@dataclass(frozen=True)
class Operation:
    """What can be computed at an address: the request it reads, the report it gives, and what lies between."""

    request: type[RequestModel]
    report: type[ReportModel]
    prepare: Callable[..., Any]


OPERATIONS: Mapping[str, Operation] = {
    "/v1/diagnoses": Operation(DiagnosisRequest, Diagnosis, prepare_diagnosis),
    "/v1/comparisons": Operation(ComparisonRequest, Comparison, prepare_comparison),
    "/v1/spectra": Operation(SpectrumRequest, Spectrum, prepare_spectrum),
    "/v1/clippings": Operation(ClippingsRequest, Clippings, prepare_clippings),
    "/v1/descents": Operation(DescentRequest, Descent, prepare_descent),
    "/v1/mean-fields": Operation(MeanFieldRequest, MeanField, prepare_mean_field),
}
"""Address -> operation."""


@dataclass(frozen=True)
class CheckpointOperation:
    """The same about files: `prepare` also gets what surveying them found, in the order of `files`.

    `files` returns the hashes of the files that a request is about, given the one in the address.
    """

    request: type[RequestModel]
    report: type[ReportModel]
    prepare: Callable[..., Any]
    files: Callable[[Any, str], tuple[str, ...]]


CHECKPOINT_OPERATIONS: Mapping[str, CheckpointOperation] = {
    "/v1/checkpoints/{sha256}/diagnoses": CheckpointOperation(
        CheckpointDiagnosisRequest, CheckpointDiagnosis, prepare_checkpoint, lambda _, sha256: (sha256,)
    ),
    "/v1/checkpoint-comparisons": CheckpointOperation(
        CheckpointComparisonRequest,
        CheckpointComparison,
        prepare_checkpoint_comparison,
        lambda request, _: (request.a, request.b),
    ),
}
"""Address -> operation about files."""

__all__ = [
    "CHECKPOINT_OPERATIONS",
    "ENGINE_VERSION",
    "OPERATIONS",
    "CheckpointOperation",
    "Operation",
    "Task",
    "prepare_checkpoint",
    "prepare_checkpoint_comparison",
    "prepare_clippings",
    "prepare_comparison",
    "prepare_descent",
    "prepare_diagnosis",
    "prepare_mean_field",
    "prepare_spectrum",
    "provenance",
    "run_inline",
    "translate",
]
