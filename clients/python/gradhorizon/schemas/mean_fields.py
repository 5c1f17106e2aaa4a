"""Theory without a matrix: what an activation and two variances decide about wide random networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ._base import ReportModel, RequestModel
from .diagnoses import Provenance
from .diagnostics import MeanFieldTheory
from .networks import _Activated
from .values import NullableSeries, Number, Series

Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Variable = Literal["weight_variance", "bias_variance"]


class CriticalLineRequest(RequestModel):
    """Where chi_1 = 1: the other variance at `points` values of this one, evenly spaced from `start` to `stop`."""

    over: Variable
    start: Variance
    stop: Variance
    points: Annotated[int, Field(ge=1)] = 50


class MeanFieldRequest(_Activated):
    """Layers h' = phi(W h + b): entries of W have the variance weight_variance / N, those of b bias_variance.

    With `size`, also the exponents of products of Gaussian matrices of that size and weight variance: all of them, or
    the `leading` ones.
    """

    weight_variance: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    bias_variance: Variance = 0.0
    critical_line: CriticalLineRequest | None = None
    size: Annotated[int, Field(ge=1)] | None = None
    leading: Annotated[int, Field(ge=1)] | None = None


class CriticalLine(ReportModel):
    """Pairs of variances with chi_1 = 1; null where there is none, with the first such reason beside it."""

    over: Variable
    weight_variance: NullableSeries
    weight_variance_reason: str | None
    bias_variance: NullableSeries
    bias_variance_reason: str | None


class _Question(ReportModel):
    id: str
    activation: str
    weight_variance: Number
    bias_variance: Number


class MeanField(MeanFieldTheory, _Question):
    """The answer of POST /v1/mean-fields."""

    growth_rate: Number
    critical_line: CriticalLine | None
    gaussian_product_exponents: Series | None
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
