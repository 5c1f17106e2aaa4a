"""What each diagnostic reports. One model a diagnostic; `DIAGNOSTICS` in diagnoses.py follows these names."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import model_validator

from ._base import ReportModel
from .values import (
    ComplexSeries,
    IntSeries,
    Log10Number,
    Log10Series,
    Matrix,
    NullableNumber,
    NullableSeries,
    Number,
    Series,
    UndefinedLog10Number,
)


class Statement(ReportModel):
    """One statement about the matrix: whether it holds, what that proves here, and what it does not prove."""

    name: str
    holds: bool
    quantity: str
    value: Number
    threshold: Number
    proves: str
    does_not_prove: str


class Conditions(ReportModel):
    """The statements of Pascanu, Mikolov and Bengio (2013), section 2.1, as they really are.

    Linear cells: spectral radius below 1 suffices for vanishing in the limit, above 1 is necessary for exponential
    exploding. Nonlinear cells: largest singular value below 1/gamma suffices, above 1/gamma is necessary.
    """

    gamma: Number
    one_step_norm_bound: Number
    sufficient_for_vanishing: bool
    necessary_for_exploding: bool
    statements: list[Statement]


class SpectrumReport(ReportModel):
    """Eigenvalues and norms of the recurrent matrix; modes are in the order of the eigenvalues."""

    eigenvalues: ComplexSeries
    spectral_radius: Number
    spectral_norm: Number
    smallest_singular_value: Number
    numerical_radius: Number
    half_life: NullableSeries
    half_life_reason: str | None
    period: NullableSeries
    period_reason: str | None
    conditions: Conditions


class ModesReport(ReportModel):
    """A linear recurrence, eigenmode by eigenmode."""

    eigenvalues: ComplexSeries
    log10_growth: Log10Series
    growth_class: list[Literal["vanishing", "neutral", "exploding"]]
    initial_state_share: NullableSeries
    cotangent_share: NullableSeries
    share_reason: str | None
    dominant_mode: int | None
    dominant_from_step: int | None
    alignment: NullableNumber
    dominance_reason: str | None


class NonnormalityReport(ReportModel):
    """How far the eigenvalues are from telling the whole story."""

    log10_eigenvector_condition: NullableNumber
    log10_eigenvector_condition_reason: str | None
    henrici_departure: Number
    kreiss_constant: NullableNumber
    kreiss_constant_reason: str | None
    kreiss_constant_is_lower_bound: bool
    log10_peak: Number
    peak_step: int
    peak_is_exact: bool
    eigenvalues_mislead: bool
    says: str


class StateNormsReport(ReportModel):
    """log10 norm of s_t: median and quantiles over the batch."""

    step: IntSeries
    log10_norm: Log10Series
    log10_q10: Log10Series
    log10_q90: Log10Series
    final_state: Matrix | None
    final_state_reason: str | None


class GradientPart(ReportModel):
    """The same series for one part of the state."""

    log10_norm: Log10Series
    log10_q10: Log10Series
    log10_q90: Log10Series
    log10_batch_norm: Log10Series


class GradientNormsReport(ReportModel):
    """log10 norm of dL/ds_{T-k} by lag k."""

    lag: IntSeries
    log10_norm: Log10Series
    log10_q10: Log10Series
    log10_q90: Log10Series
    log10_batch_norm: Log10Series
    parts: dict[str, GradientPart] | None
    reliable: bool
    reliable_reason: str | None


class LayerGradients(ReportModel):
    """Feed-forward networks have no shared weights: one norm per layer, 1 = first."""

    layer: IntSeries
    log10_weights: Log10Series
    log10_biases: Log10Series | None


class ParameterGradientReport(ReportModel):
    """The gradient each parameter would receive, and from which lags the one of the recurrent matrix comes.

    `gates` splits it for gated cells: parameter, then gate (null for other cells).
    """

    log10_norm: dict[str, Log10Number]
    gates: dict[str, dict[str, Log10Number]] | None
    values: dict[str, Matrix] | None
    values_reason: str | None
    lag: IntSeries
    share: Series
    share_reason: str | None
    steps_holding_95_percent: int | None
    layers: LayerGradients | None


class SingularValuesReport(ReportModel):
    """Log singular values of the whole transport, descending; the median over the batch per index."""

    log10: Log10Series
    count: int
    reliable: bool
    reliable_reason: str | None
    check: str
    log10_determinant_gap: NullableNumber


class LyapunovReport(ReportModel):
    """Lyapunov exponents in nats per step, largest first; the median over the batch per index."""

    exponents: NullableSeries
    exponents_reason: str | None
    standard_errors: NullableSeries
    standard_errors_reason: str | None
    converged: bool
    transient_steps: int
    kaplan_yorke_dimension: NullableNumber
    kaplan_yorke_dimension_reason: str | None
    sum_of_exponents: NullableNumber
    sum_of_exponents_reason: str | None
    mean_log_abs_det: NullableNumber
    mean_log_abs_det_reason: str | None


class ClippingReport(ReportModel):
    """What clipping does to this gradient, in the precision the user trains in."""

    policy: str
    framework: str | None
    threshold: Number
    parameters: list[str]
    log10_norm_before: Log10Number
    log10_norm_after: UndefinedLog10Number
    log10_norm_after_reason: str | None
    factor: NullableNumber
    factor_reason: str | None
    triggered: bool
    cosine: NullableNumber
    cosine_reason: str | None
    lag: IntSeries
    share_before: Series
    share_after: Series | None
    share_after_reason: str | None
    horizon_before: int | None
    horizon_after: int | None
    on_overflow: str
    says: str

    @model_validator(mode="before")
    @classmethod
    def _undefined_is_nan(cls, data: Any) -> Any:
        """On the wire null means zero or undefined; the reason tells them apart."""
        if (
            isinstance(data, dict)
            and data.get("log10_norm_after") is None
            and data.get("log10_norm_after_reason")
        ):
            return {**data, "log10_norm_after": math.nan}
        return data
