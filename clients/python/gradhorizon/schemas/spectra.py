"""A matrix from a source: its spectrum and non-normality, and the matrix itself where asked for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from ._base import ReportModel, RequestModel
from .diagnoses import Provenance
from .diagnostics import NonnormalityReport, SpectrumReport
from .sources import Seed, Source
from .values import Matrix


class SpectrumRequest(RequestModel):
    """The spectrum of one square matrix; a source may also be sent bare, as the whole body."""

    source: Source
    depth: Annotated[int, Field(ge=1)] = 1000
    include_matrix: bool = False
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _bare_source(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("source"), str):
            return data
        own = {"depth", "include_matrix"}
        source = {key: value for key, value in data.items() if key not in own}
        return {"source": source, **{key: data[key] for key in own if key in data}}


class Spectrum(ReportModel):
    """The answer of POST /v1/spectra."""

    id: str
    shape: list[int]
    spectrum: SpectrumReport
    nonnormality: NonnormalityReport
    matrix: Matrix | None
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
