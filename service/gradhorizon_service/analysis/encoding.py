"""Reports as JSON: finite numbers only, diagnostics that were not asked for left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gradhorizon.schemas import CheckpointComparison, CheckpointDiagnosis, Comparison, Diagnosis
from gradhorizon.schemas._base import ReportModel
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS


def encode(report: ReportModel) -> bytes:
    """Encode a report. Raises NonFiniteError rather than write a number that is not one."""
    left_out = next((find(report) for kind, find in _LEFT_OUT.items() if isinstance(report, kind)), None)
    return orjson.dumps(report.model_dump(exclude=left_out), option=orjson.OPT_SERIALIZE_NUMPY)


def _not_asked_for(report: Diagnosis) -> set[str]:
    return {name for name in DIAGNOSTICS if getattr(report, name) is None}


def _in_rows(report: Comparison) -> dict[str, Any]:
    return {"diagnoses": {name: _not_asked_for(found) for name, found in report.diagnoses.items()}}


def _in_layers(report: CheckpointDiagnosis | CheckpointComparison) -> dict[str, Any]:
    """Of the diagnoses that a layer has under any name."""
    return {
        "layers": {
            place: {
                name: _not_asked_for(found)
                for name in ("diagnosis", "before", "after")
                if (found := getattr(layer, name, None)) is not None
            }
            for place, layer in enumerate(report.layers)
        }
    }


_LEFT_OUT: Mapping[type[ReportModel], Callable[[Any], Any]] = {
    Diagnosis: _not_asked_for,
    Comparison: _in_rows,
    CheckpointDiagnosis: _in_layers,
    CheckpointComparison: _in_layers,
}
"""Report -> the diagnostics in it that were not asked for, as pydantic's `exclude`."""
