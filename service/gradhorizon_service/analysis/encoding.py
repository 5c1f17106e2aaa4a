"""Reports as JSON: finite numbers only, diagnostics that were not asked for left out."""

from __future__ import annotations

from typing import Any

import orjson

from gradhorizon.schemas import Comparison, Diagnosis
from gradhorizon.schemas._base import ReportModel
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS


def encode(report: ReportModel) -> bytes:
    """Encode a report. Raises NonFiniteError rather than write a number that is not one."""
    left_out: Any = None
    if isinstance(report, Diagnosis):
        left_out = _not_asked_for(report)
    elif isinstance(report, Comparison):
        left_out = {"diagnoses": {name: _not_asked_for(found) for name, found in report.diagnoses.items()}}
    return orjson.dumps(report.model_dump(exclude=left_out), option=orjson.OPT_SERIALIZE_NUMPY)


def _not_asked_for(report: Diagnosis) -> set[str]:
    return {name for name in DIAGNOSTICS if getattr(report, name) is None}
