"""Given gradients or a history of their norms: what clipping policies make of them, and which threshold to use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ._base import ReportModel, RequestModel
from .arrays import Array, GradientValues, NormValues
from .clipping import Clipping
from .diagnoses import Dtype, Provenance
from .values import (
    IntSeries,
    Log10Number,
    Log10Series,
    Nested,
    NullableNumber,
    NullableSeries,
    Number,
    UndefinedLog10Number,
    undefined_as_nan,
)

MAX_POLICIES = 64


def _on_parameters(policy: Any) -> Any:
    if policy.kind == "per_step":
        raise ValueError(
            "per_step acts on state gradients inside the backward pass, not on gradients of parameters; "
            "a diagnosis runs it (POST /v1/diagnoses)"
        )
    return policy


def _no_negatives(norms: Array) -> Array:
    negative = np.flatnonzero(norms < 0)
    if len(negative):
        raise PydanticCustomError(
            "array_negative",
            "{message}",
            {"message": f"is negative at [{negative[0]}]; norms are zero or more"},
        )
    return np.where(norms == 0.0, 0.0, norms)  # a threshold over -0.0 would be minus infinity


TensorName = Annotated[str, Field(min_length=1, max_length=256)]


class ClippingsRequest(RequestModel):
    """Gradients by name or a history of norms, one of the two, and the policies to run on them.

    NaN and infinities are welcome here, as long as they come in binary parts: JSON has no number for them.
    """

    gradients: Annotated[dict[TensorName, GradientValues], Field(min_length=1)] | None = None
    norms: Annotated[NormValues, AfterValidator(_no_negatives)] | None = None
    policies: Annotated[
        list[Annotated[Clipping, AfterValidator(_on_parameters)]], Field(max_length=MAX_POLICIES)
    ] = Field(default_factory=list)
    dtype: Dtype = "float32"
    include: list[Literal["values"]] = Field(default_factory=list)
    max_points: Annotated[int, Field(ge=2)] = 256

    @model_validator(mode="after")
    def _one_of_both(self) -> ClippingsRequest:
        if (self.gradients is None) == (self.norms is None):
            raise ValueError("give either gradients (arrays by name) or norms (a history), one of the two")
        return self


class _WithUndefinedDecades(ReportModel):
    """A report in which some decades may be undefined: null then comes with a reason, and zero without."""

    @model_validator(mode="before")
    @classmethod
    def _undefined_is_nan(cls, data: Any) -> Any:
        for name in cls.model_fields:
            if f"{name}_reason" in cls.model_fields and name.startswith("log10_"):
                data = undefined_as_nan(data, name)
        return data


class Policy(ReportModel):
    """A policy as it was asked for."""

    kind: str
    threshold: NullableNumber
    norm_type: Literal[2, "inf"] | None
    framework: str | None


class TensorBefore(_WithUndefinedDecades):
    """One gradient as given; how many entries are odd, and how many leave the training dtype."""

    name: str
    shape: list[int]
    log10_norm: UndefinedLog10Number
    log10_norm_reason: str | None
    share: NullableNumber
    share_reason: str | None
    nans: int
    infinities: int
    zeros: int
    become_infinite: int
    become_zero: int


class GradientsBefore(_WithUndefinedDecades):
    """All gradients as given."""

    log10_total_norm: UndefinedLog10Number
    log10_total_norm_reason: str | None
    entries: int
    tensors: list[TensorBefore]


class TensorAfter(_WithUndefinedDecades):
    """One gradient before and after a policy."""

    name: str
    log10_norm_before: UndefinedLog10Number
    log10_norm_before_reason: str | None
    log10_norm_after: UndefinedLog10Number
    log10_norm_after_reason: str | None
    factor: NullableNumber
    factor_reason: str | None
    non_finite_after: int
    values: Nested | None
    values_reason: str | None


class ClippedGradients(_WithUndefinedDecades):
    """What comes out of one policy: `total_norm` is the framework's, in its dtype; `log10_total_norm` the exact one."""

    policy: Policy
    total_norm: NullableNumber
    total_norm_reason: str | None
    log10_total_norm: UndefinedLog10Number
    log10_total_norm_reason: str | None
    log10_norm_after: UndefinedLog10Number
    log10_norm_after_reason: str | None
    clipped: bool
    factor: NullableNumber
    factor_reason: str | None
    cosine: NullableNumber
    cosine_reason: str | None
    non_finite_after: int
    tensors: list[TensorAfter]
    says: str


class NormEvent(ReportModel):
    """Something that happened at `count` steps of a history, the first of which are listed."""

    kind: str
    count: int
    steps: IntSeries
    says: str


class NormStatistics(ReportModel):
    """How the finite norms are distributed, zeros lowest."""

    log10_min: Log10Number
    log10_q10: Log10Number
    log10_median: Log10Number
    log10_mean: Log10Number
    log10_q90: Log10Number
    log10_q99: Log10Number
    log10_max: Log10Number
    spread_decades: NullableNumber
    spread_decades_reason: str | None
    outliers: int | None
    outliers_reason: str | None
    tail_index: NullableNumber
    tail_index_error: NullableNumber
    tail_index_reason: str | None
    drift_decades: NullableNumber
    drift_decades_reason: str | None


class NormHistory(ReportModel):
    """A history of norms: its distribution, what is odd about it, and the series of the finite ones."""

    count: int
    finite: int
    statistics: NormStatistics | None
    statistics_reason: str | None
    step: IntSeries
    log10_norm: Log10Series
    events: list[NormEvent]


class ClippedHistory(ReportModel):
    """What one policy would have done to a history; the series go with `step` of the history.

    An entry of `total_norm` is undefined where the framework's norm is not finite, one of `factor` where it is NaN.
    """

    policy: Policy
    steps_clipped: int
    share_clipped: Number
    mean_factor: NullableNumber
    mean_factor_reason: str | None
    kept_length: NullableNumber
    kept_length_reason: str | None
    total_norm: NullableSeries
    clipped: list[bool]
    factor: NullableSeries
    events: list[NormEvent]
    says: str


class ThresholdCandidate(ReportModel):
    """A threshold, where it comes from, and what it would have done to the history."""

    threshold: Number
    basis: str
    share_clipped: Number
    mean_factor: Number


class ThresholdAdvice(ReportModel):
    """The threshold to use, by which rule, and the range in which training is known to work."""

    threshold: NullableNumber
    threshold_reason: str | None
    rule: str | None
    share_clipped: NullableNumber
    mean_factor: NullableNumber
    lowest: NullableNumber
    highest: NullableNumber
    range_reason: str | None
    candidates: list[ThresholdCandidate]
    says: str


class Clippings(ReportModel):
    """The answer of POST /v1/clippings: what is given, what each policy makes of it, and advice."""

    id: str
    dtype: Dtype
    gradients: GradientsBefore | None
    policies: list[ClippedGradients] | list[ClippedHistory]
    history: NormHistory | None
    advice: ThresholdAdvice
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
