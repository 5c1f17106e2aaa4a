"""What each diagnostic reports. One model a diagnostic; `DIAGNOSTICS` in diagnoses.py follows these names."""

from __future__ import annotations

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
    undefined_as_nan,
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
    """How far the eigenvalues are from telling the whole story.

    `about`: W, or the one Jacobian that every step of a linear leaky, residual, skip or echo state network has.
    """

    about: Literal["recurrent_matrix", "step_jacobian"]
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


class CounterfactualReport(ReportModel):
    """One remedy that was run on the same inputs and depth; `change` holds the numbers to set.

    `log10_growth` is the change of the median gradient over the whole depth; `update_factor` the norm of the
    parameters' gradient after over that before; `network` the one whose weights were drawn for it, as a request
    takes it.
    """

    name: str
    rank: int
    change: dict[str, float | int | str]
    network: dict[str, Any] | None
    network_reason: str | None
    horizon_before: int | None
    horizon_after: int | None
    censored_before: bool
    censored_after: bool
    log10_growth_before: Log10Number
    log10_growth_after: UndefinedLog10Number
    log10_growth_after_reason: str | None
    decades_per_step_before: NullableNumber
    decades_per_step_before_reason: str | None
    decades_per_step_after: NullableNumber
    decades_per_step_after_reason: str | None
    update_factor: NullableNumber
    update_factor_reason: str | None
    runs: int
    says: str
    cost: str

    @model_validator(mode="before")
    @classmethod
    def _undefined_is_nan(cls, data: Any) -> Any:
        """On the wire null means zero or undefined; the reason tells them apart."""
        return undefined_as_nan(data, "log10_growth_after")


class RemedyNotRun(ReportModel):
    """A remedy that was not run, and why."""

    name: str
    reason: str


class RemediesReport(ReportModel):
    """Which change moves the horizon, because it was run: the one that reaches farthest first."""

    counterfactuals: list[CounterfactualReport]
    not_run: list[RemedyNotRun]
    says: str


class MeanFieldTheory(ReportModel):
    """Where signals and gradients of an infinitely wide random network go."""

    phase: Literal["ordered", "critical", "chaotic"]
    q_star: NullableNumber
    q_star_reason: str | None
    chi_1: Number
    c_star: NullableNumber
    c_star_reason: str | None
    xi_q: NullableNumber
    xi_q_reason: str | None
    xi_c: NullableNumber
    xi_c_reason: str | None
    critical_weight_variance: NullableNumber
    critical_weight_variance_reason: str | None
    critical_gain: NullableNumber
    critical_gain_reason: str | None


class MeanFieldReport(MeanFieldTheory):
    """The theory at the variances of this ensemble, and the growth of gradients it predicts beside the measured one."""

    weight_variance: Number
    bias_variance: Number
    predicted_log10_growth_per_step: Number
    measured_log10_growth_per_step: NullableNumber
    measured_log10_growth_per_step_reason: str | None
    measured_over_lags: int
    says: str


class UnitSlopesReport(ReportModel):
    """Slopes of one nonlinearity over all steps and sequences; units below `level` are saturated.

    `dead_units` counts from 0 among the units of a layer, `dead_layers` (null for shared weights) from 1.
    """

    level: Number
    saturated_share: Number
    log10_slope_q10: Log10Number
    log10_slope: Log10Number
    log10_slope_q90: Log10Number
    log10_mean_slope: Log10Number
    units: int
    mostly_saturated: int
    always_saturated: int
    dead: int
    dead_units: IntSeries | None
    dead_layers: IntSeries | None
    dead_units_reason: str | None


class GateValuesReport(ReportModel):
    """Values of one gate, 0 for closed and 1 for open, over all steps, sequences and units."""

    mean: Number
    q10: Number
    median: Number
    q90: Number
    share_nearly_closed: Number
    share_nearly_open: Number
    time_constant: NullableNumber
    time_constant_reason: str | None


class DecayShareReport(ReportModel):
    """Decades per step of the transported gradient, and what slopes and weights each make of them."""

    decades_per_step: NullableNumber
    decades_per_step_reason: str | None
    decades_per_step_from_slopes: NullableNumber
    decades_per_step_from_slopes_reason: str | None
    decades_per_step_from_weights: NullableNumber
    decades_per_step_from_weights_reason: str | None


class SaturationReport(ReportModel):
    """Slopes along the run, by nonlinearity; `gates` of gated cells; the part of the decay that slopes make."""

    saturated_share: NullableNumber
    saturated_share_reason: str | None
    step: IntSeries
    saturated_share_by_step: Series
    units: dict[str, UnitSlopesReport]
    gates: dict[str, GateValuesReport] | None
    decay: DecayShareReport
    says: str


class FormatReachReport(ReportModel):
    """First lags at which the gradient, rounded to one format, is subnormal (or zero), zero, infinite; null for never.

    The scaled ones are those with the loss scale, and null without one.
    """

    first_subnormal_lag: int | None
    first_zero_lag: int | None
    first_infinite_lag: int | None
    log2_loss_scale: int | None
    loss_scale_reason: str | None
    scaled_first_subnormal_lag: int | None
    scaled_first_zero_lag: int | None


class PrecisionReport(ReportModel):
    """How far back the gradient reaches in each format; `says` is about the dtype of the request."""

    float16: FormatReachReport
    bfloat16: FormatReachReport
    float32: FormatReachReport
    float64: FormatReachReport
    reliable: bool
    reliable_reason: str | None
    says: str


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
        return undefined_as_nan(data, "log10_norm_after")


class EchoCondition(ReportModel):
    """One inequality, value < 1: whether it holds, what that proves for this network, and what it does not."""

    value: Number
    holds: bool
    proves: str
    does_not_prove: str


class CapacityByDelay(ReportModel):
    """How well a linear readout recovers the input `delay` steps back: a squared correlation."""

    delay: IntSeries
    capacity: Series


class EchoStateReport(ReportModel):
    """Whether a reservoir forgets its start, and how much of its input's past a linear readout recovers."""

    effective_spectral_radius: Number
    spectral_radius_condition: EchoCondition
    sigma_max_condition: EchoCondition
    conditional_lyapunov_exponent: NullableNumber
    conditional_lyapunov_exponent_reason: str | None
    memory_capacity: NullableNumber
    memory_capacity_reason: str | None
    memory_capacity_bound: int
    capacity_by_delay: CapacityByDelay | None
    input_std: Number
    ridge: Number
    washout: int
    train_samples: int
    test_samples: int
