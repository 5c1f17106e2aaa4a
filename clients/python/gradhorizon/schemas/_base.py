"""The two kinds of wire model: requests are strict, reports are readable by an older or newer peer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """Part of a request: strict types, unknown fields refused, immutable once read."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True, validate_default=True
    )


class ReportModel(BaseModel):
    """Part of a report: built from the service's results by attribute; readers ignore fields they do not know."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        arbitrary_types_allowed=True,
        from_attributes=True,
        ser_json_inf_nan="null",
    )
