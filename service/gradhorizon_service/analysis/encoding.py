"""Reports as JSON: finite numbers only, diagnostics that were not asked for left out."""

from __future__ import annotations

import orjson

from gradhorizon.schemas import Diagnosis
from gradhorizon.schemas._base import ReportModel
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS


def encode(report: ReportModel) -> bytes:
    """Encode a report. Raises NonFiniteError rather than write a number that is not one."""
    left_out = set()
    if isinstance(report, Diagnosis):
        left_out = {name for name in DIAGNOSTICS if getattr(report, name) is None}
    return orjson.dumps(report.model_dump(exclude=left_out), option=orjson.OPT_SERIALIZE_NUMPY)
