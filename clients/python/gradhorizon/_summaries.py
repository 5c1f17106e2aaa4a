"""Reports as headings and small tables of text: what a person reads first, whatever draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .schemas import Comparison, Diagnosis, MeanField, Spectrum
    from .schemas.comparisons import ComparisonRow
    from .schemas.diagnoses import Evidence, Provenance
    from .schemas.diagnostics import FormatReachReport, NonnormalityReport, SpectrumReport
    from .schemas.values import Array

ROWS = 14
"""Lags shown of a series; the report itself holds them all."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One small table: its first column names things, the others hold numbers; `notes` are sentences below it."""

    title: str
    columns: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """A report for people."""

    status: str
    headline: str
    sections: tuple[Section, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    origin: str


def summarize_diagnosis(report: Diagnosis) -> Summary:
    """Return what a person wants to see of a diagnosis, in the order of interest."""
    sections = [
        _horizon(report),
        _by_lag(report),
        _singular_values(report),
        _parameters(report),
        _clipping(report),
        _precision(report),
        _saturation(report),
        _remedies(report),
        _states(report),
        _lyapunov(report),
        _echo_state(report),
        _mean_field(report),
        _modes(report),
        _matrix(report.spectrum, report.nonnormality),
    ]
    return Summary(
        status=report.verdict.status,
        headline=report.verdict.summary,
        sections=tuple(section for section in sections if section is not None),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=_origin(report.provenance),
    )


def summarize_comparison(report: Comparison) -> Summary:
    """Return the table of a comparison."""
    clipped = any(row.clipped is not None for row in report.rows)
    rows = tuple(
        (
            str(row.rank),
            row.name,
            row.status,
            _steps(row.horizon_after_clipping),
            _number(row.decades_per_step),
            _decades(row.log10_largest_singular_value),
            *([_update(row)] if clipped else []),
        )
        for row in report.rows
    )
    columns = (
        "rank",
        "name",
        "verdict",
        "horizon",
        "decades per step",
        "largest singular value, log10",
        *(["update, log10 norm"] if clipped else []),
    )
    return Summary(
        status=f"{len(report.rows)} rows",
        headline=report.says,
        sections=(Section("Ranked by horizon", columns, rows),),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=_origin(report.provenance),
    )


def _update(row: ComparisonRow) -> str:
    """The norm of all parameter gradients, before and after clipping."""
    if row.clipped is None:
        return "-"
    return f"{_decades(row.log10_update_norm_before)} -> {_decades(row.log10_update_norm_after)}"


def _origin(provenance: Provenance) -> str:
    return f"gradhorizon {provenance.engine_version}, seed {provenance.seed}, {provenance.seconds:.3g} s"


def summarize_spectrum(report: Spectrum) -> Summary:
    """Return what a person wants to see of one matrix."""
    rows, columns = report.shape
    moduli = np.abs(report.spectrum.eigenvalues)
    head = tuple(
        (str(i + 1), _complex(z), _number(abs(z))) for i, z in enumerate(report.spectrum.eigenvalues[:8])
    )
    sections = [
        _matrix(report.spectrum, report.nonnormality),
        Section("Largest eigenvalues", ("", "eigenvalue", "modulus"), head),
    ]
    return Summary(
        status=f"{rows} x {columns}",
        headline=f"{len(moduli)} eigenvalues, moduli {_number(moduli.min())} to {_number(moduli.max())}",
        sections=tuple(section for section in sections if section is not None),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=_origin(report.provenance),
    )


def summarize_mean_field(report: MeanField) -> Summary:
    """Return what a person wants to see of a theory."""
    named = {
        "length q*": (report.q_star, report.q_star_reason),
        "chi_1": (report.chi_1, None),
        "correlation c*": (report.c_star, report.c_star_reason),
        "depth of lengths xi_q": (report.xi_q, report.xi_q_reason),
        "depth of correlations xi_c": (report.xi_c, report.xi_c_reason),
        "critical weight variance": (report.critical_weight_variance, report.critical_weight_variance_reason),
        "critical gain": (report.critical_gain, report.critical_gain_reason),
        "growth of gradients, nats per step": (report.growth_rate, None),
    }
    rows = tuple((name, _number(value)) for name, (value, _) in named.items())
    reasons = tuple(f"{name}: {reason}" for name, (_, reason) in named.items() if reason is not None)
    sections = [Section("Infinitely wide random networks", ("", ""), rows, reasons)]
    sections += filter(None, (_critical_line(report), _product_exponents(report)))
    return Summary(
        status=report.phase,
        headline=f"{report.activation} at weight variance {_number(report.weight_variance)}, "
        f"bias variance {_number(report.bias_variance)}",
        sections=tuple(sections),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=_origin(report.provenance),
    )


def _critical_line(report: MeanField) -> Section | None:
    line = report.critical_line
    if line is None:
        return None
    shown = _spread(np.arange(len(line.weight_variance)), None)
    rows = tuple((_number(line.weight_variance[i]), _number(line.bias_variance[i])) for i in shown)
    reasons = filter(None, (line.weight_variance_reason, line.bias_variance_reason))
    return Section("Critical line", ("weight variance", "bias variance"), rows, tuple(reasons))


def _product_exponents(report: MeanField) -> Section | None:
    exponents = report.gaussian_product_exponents
    if exponents is None:
        return None
    rows = tuple((f"exponent {i + 1}", _number(x)) for i, x in enumerate(exponents[:8].tolist()))
    return Section("Products of Gaussian matrices, nats per step", ("", ""), rows)


def _horizon(report: Diagnosis) -> Section:
    horizon, verdict = report.horizon, report.verdict
    rows = [("horizon", _steps_of_horizon(report))]
    if horizon.decades_per_step is not None:
        rows.append(("decades per step", _number(horizon.decades_per_step)))
    rows.append(("the given gradient", verdict.given_cotangent))
    rows.append(("most directions are lost", _yes(verdict.directions_vanish)))
    rows.append(("run", f"{report.outcome.kind}, {report.outcome.steps_completed} steps"))
    rows.extend(
        (
            evidence.quantity,
            _bounded(evidence),
        )
        for evidence in verdict.evidence
    )
    reasons = (horizon.decades_per_step_reason, report.outcome.advice)
    return Section("Verdict", ("", ""), tuple(rows), tuple(reason for reason in reasons if reason))


def _bounded(evidence: Evidence) -> str:
    value = ("at most " if evidence.is_upper_bound else "") + _number(evidence.value)
    return f"{value}, against a threshold of {_number(evidence.threshold)}"


def _steps_of_horizon(report: Diagnosis) -> str:
    horizon = report.horizon
    factor = f"a factor {1 / horizon.level:g}"
    if horizon.steps is not None:
        way = {"decay": "decayed by", "growth": "grown by", None: "changed by"}[horizon.direction]
        return f"{horizon.steps} steps, then the gradient has {way} {factor}"
    if horizon.extrapolated_steps is not None:
        return f"not within the depth; {factor} would be reached near step {horizon.extrapolated_steps} (extrapolated)"
    return "not within the depth" if horizon.censored else "undefined"


def _by_lag(report: Diagnosis) -> Section | None:
    norms = report.gradient_norms
    if norms is None or len(norms.lag) == 0:
        return None
    shown = _spread(norms.lag, report.horizon.steps)
    bars = _bars(norms.log10_norm[shown])
    rows = tuple(
        (
            str(norms.lag[i]),
            _decades(norms.log10_norm[i]),
            f"{_decades(norms.log10_q10[i])} .. {_decades(norms.log10_q90[i])}",
            _decades(norms.log10_batch_norm[i]),
            bar,
        )
        for i, bar in zip(shown, bars, strict=True)
    )
    notes = () if norms.reliable_reason is None else (norms.reliable_reason,)
    return Section("Gradient by lag, log10 norm", ("lag", "median", "10 .. 90 %", "batch", ""), rows, notes)


def _singular_values(report: Diagnosis) -> Section | None:
    values = report.singular_values
    if values is None or len(values.log10) == 0:
        return None
    rows = [("largest", _decades(values.log10[0])), ("smallest", _decades(values.log10[-1]))]
    if len(values.log10) == values.count:
        rows.insert(1, ("median", _decades(float(np.median(values.log10)))))
    rows.append(("reliable", _yes(values.reliable)))
    notes = () if values.reliable_reason is None else (values.reliable_reason,)
    title = f"Singular values of the whole transport, log10 ({len(values.log10)} of {values.count})"
    return Section(title, ("", ""), tuple(rows), notes)


def _parameters(report: Diagnosis) -> Section | None:
    gradient = report.parameter_gradient
    if gradient is None:
        return None
    rows = tuple((name, _decades(norm)) for name, norm in gradient.log10_norm.items())
    notes = []
    if gradient.steps_holding_95_percent is not None:
        notes.append(
            f"95 % of the gradient of the recurrence comes from the last {gradient.steps_holding_95_percent} steps"
        )
    if gradient.share_reason is not None:
        notes.append(gradient.share_reason)
    return Section("Gradient of each parameter, log10 norm", ("", ""), rows, tuple(notes))


def _clipping(report: Diagnosis) -> Section | None:
    clipping = report.clipping
    if clipping is None:
        return None
    before, after = _decades(clipping.log10_norm_before), _decades(clipping.log10_norm_after)
    rows = (
        (
            "policy",
            " ".join(filter(None, (clipping.policy, f"at {clipping.threshold:g}", clipping.framework))),
        ),
        ("log10 norm", f"{before} -> {after}"),
        ("factor", _number(clipping.factor)),
        ("horizon", f"{_steps(clipping.horizon_before)} -> {_steps(clipping.horizon_after)}"),
    )
    reasons = (clipping.log10_norm_after_reason, clipping.factor_reason)
    return Section("Clipping", ("", ""), rows, (clipping.says, *(reason for reason in reasons if reason)))


def _remedies(report: Diagnosis) -> Section | None:
    remedies = report.remedies
    if remedies is None:
        return None
    rows = tuple(
        (
            str(found.rank),
            found.name,
            ", ".join(f"{name} {_shown(value)}" for name, value in found.change.items()),
            f"{_steps(found.horizon_before)} -> {_steps(found.horizon_after)}",
            f"{_decades(found.log10_growth_before)} -> {_decades(found.log10_growth_after)}",
        )
        for found in remedies.counterfactuals
    )
    not_run = "; ".join(f"{row.name} ({row.reason})" for row in remedies.not_run)
    notes = (remedies.says, *([f"not run: {not_run}"] if not_run else []))
    columns = ("rank", "remedy", "change", "horizon", "growth over the depth, log10")
    return Section("Remedies, each run on the same inputs", columns, rows, notes)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _precision(report: Diagnosis) -> Section | None:
    precision = report.precision
    if precision is None:
        return None
    rows = tuple(
        (
            name,
            _lag(reach.first_subnormal_lag),
            _lag(reach.first_zero_lag),
            _lag(reach.first_infinite_lag),
            _scale(reach),
        )
        for name in ("float16", "bfloat16", "float32", "float64")
        for reach in (getattr(precision, name),)
    )
    columns = ("", "subnormal", "zero", "infinite", "best loss scale: then subnormal, zero")
    notes = (precision.says, *filter(None, (precision.reliable_reason,)))
    return Section("First lags at which the gradient leaves a format", columns, rows, notes)


def _lag(value: int | None) -> str:
    return "never" if value is None else str(value)


def _scale(reach: FormatReachReport) -> str:
    if reach.log2_loss_scale is None:
        return "none"
    scaled = f"{_lag(reach.scaled_first_subnormal_lag)}, {_lag(reach.scaled_first_zero_lag)}"
    return f"2^{reach.log2_loss_scale}: {scaled}"


def _saturation(report: Diagnosis) -> Section | None:
    saturation = report.saturation
    if saturation is None:
        return None
    rows: list[Row] = []
    for name, found in saturation.units.items():
        rows += [
            (f"{name}: saturated slopes", f"{_percent(found.saturated_share)}, below {_number(found.level)}"),
            (f"{name}: log10 slope, median", _decades(found.log10_slope)),
            (
                f"{name}: units saturated mostly, always, dead",
                f"{found.mostly_saturated}, {found.always_saturated}, {found.dead} of {found.units}",
            ),
        ]
    for name, gate in (saturation.gates or {}).items():
        rows.append(
            (
                f"{name}: mean, 10 .. 90 %",
                f"{_number(gate.mean)}, {_number(gate.q10)} .. {_number(gate.q90)}",
            )
        )
        if gate.time_constant is not None:
            rows.append((f"{name}: time constant", f"{_number(gate.time_constant)} steps"))
    decay = saturation.decay
    if decay.decades_per_step is not None:
        rows.append(("decades per step", _number(decay.decades_per_step)))
    if decay.decades_per_step_from_slopes is not None:
        rows += [
            ("of these, from slopes", _number(decay.decades_per_step_from_slopes)),
            ("of these, from weights", _number(decay.decades_per_step_from_weights)),
        ]
    reason = decay.decades_per_step_reason or decay.decades_per_step_from_slopes_reason
    return Section("Saturation", ("", ""), tuple(rows), (saturation.says, *filter(None, (reason,))))


def _states(report: Diagnosis) -> Section | None:
    states = report.state_norms
    if states is None or len(states.step) == 0:
        return None
    rows = (
        (f"at step {states.step[0]}", _decades(states.log10_norm[0])),
        ("largest", _decades(states.log10_norm.max())),
        (f"at step {states.step[-1]}", _decades(states.log10_norm[-1])),
    )
    return Section("State, log10 norm", ("", ""), rows)


def _lyapunov(report: Diagnosis) -> Section | None:
    lyapunov = report.lyapunov
    if lyapunov is None or len(lyapunov.exponents) == 0:
        return None
    rows = tuple(
        (f"exponent {i + 1}", f"{_number(exponent)} +- {_number(error)}")
        for i, (exponent, error) in enumerate(
            zip(lyapunov.exponents[:3], lyapunov.standard_errors[:3], strict=True)
        )
    )
    rows += (("converged", _yes(lyapunov.converged)),)
    notes = () if lyapunov.exponents_reason is None else (lyapunov.exponents_reason,)
    return Section("Lyapunov exponents, nats per step", ("", ""), rows, notes)


def _mean_field(report: Diagnosis) -> Section | None:
    theory = report.mean_field
    if theory is None:
        return None
    rows = (
        ("phase", theory.phase),
        ("chi_1", _number(theory.chi_1)),
        ("critical weight variance", _number(theory.critical_weight_variance)),
        ("weight variance", _number(theory.weight_variance)),
        ("decades per step, predicted", _number(theory.predicted_log10_growth_per_step)),
        ("decades per step, measured", _number(theory.measured_log10_growth_per_step)),
    )
    return Section("Mean-field theory of the ensemble", ("", ""), rows, (theory.says,))


def _echo_state(report: Diagnosis) -> Section | None:
    echo = report.echo_state
    if echo is None:
        return None
    rows = (
        ("effective spectral radius", _number(echo.effective_spectral_radius)),
        ("bound on one step", _number(echo.sigma_max_condition.value)),
        ("exponent under this input", _or_undefined(echo.conditional_lyapunov_exponent)),
        ("memory capacity", f"{_or_undefined(echo.memory_capacity)} of {echo.memory_capacity_bound}"),
    )
    reasons = (echo.conditional_lyapunov_exponent_reason, echo.memory_capacity_reason)
    notes = (
        f"spectral radius {_number(echo.spectral_radius_condition.value)}: {echo.spectral_radius_condition.proves}",
        f"bound {_number(echo.sigma_max_condition.value)}: {echo.sigma_max_condition.proves}",
        *(reason for reason in reasons if reason is not None),
    )
    return Section("Echoes", ("", ""), rows, notes)


def _or_undefined(value: float | None) -> str:
    return "undefined" if value is None else _number(value)


def _modes(report: Diagnosis) -> Section | None:
    modes = report.modes
    if modes is None or len(modes.eigenvalues) == 0:
        return None
    rows = tuple(
        (_complex(modes.eigenvalues[i]), _decades(modes.log10_growth[i]), modes.growth_class[i])
        for i in range(min(5, len(modes.eigenvalues)))
    )
    notes = () if modes.dominance_reason is None else (modes.dominance_reason,)
    return Section("Modes", ("eigenvalue", "log10 growth", "class"), rows, notes)


def _matrix(spectrum: SpectrumReport | None, nonnormality: NonnormalityReport | None) -> Section | None:
    rows: list[Row] = []
    notes: list[str] = []
    if spectrum is not None:
        rows += [
            ("spectral radius", _number(spectrum.spectral_radius)),
            ("largest singular value", _number(spectrum.spectral_norm)),
            ("smallest singular value", _number(spectrum.smallest_singular_value)),
            ("numerical radius", _number(spectrum.numerical_radius)),
        ]
        notes += [statement.proves for statement in spectrum.conditions.statements if statement.holds]
    if nonnormality is not None:
        letter = "J" if nonnormality.about == "step_jacobian" else "W"
        rows.append(
            (
                f"peak of log10 norm({letter}^k)",
                f"{_decades(nonnormality.log10_peak)} at k = {nonnormality.peak_step}",
            )
        )
        rows.append(("eigenvalues mislead", _yes(nonnormality.eigenvalues_mislead)))
        notes.append(nonnormality.says)
    return Section("The recurrent matrix", ("", ""), tuple(rows), tuple(notes)) if rows else None


def _spread(lags: Array, horizon: int | None) -> list[int]:
    """Return indices of at most `ROWS` lags, dense near 0, with both ends and the horizon."""
    last = len(lags) - 1
    wanted = np.unique(np.round(np.geomspace(1, last + 1, ROWS)).astype(int) - 1)
    chosen = set(wanted.tolist())
    if horizon is not None and horizon in lags:
        chosen.add(int(np.flatnonzero(lags == horizon)[0]))
    return sorted(chosen)


_LEAST_SPAN = 3.0
"""Decades that a full bar stands for at least, so that a flat series looks flat."""


def _bars(decades: Array, width: int = 24) -> list[str]:
    """Return a bar for each number, the longest for the largest; exact zeros have none."""
    finite = decades[np.isfinite(decades)]
    if len(finite) == 0:
        return [""] * len(decades)
    high = float(finite.max())
    low = min(float(finite.min()), high - _LEAST_SPAN)
    scale = (width - 1) / (high - low)
    return ["█" * (1 + round((x - low) * scale)) if math.isfinite(x) else "" for x in decades.tolist()]


def _decades(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return "zero" if value == -math.inf else f"{round(value, 3) + 0.0:.3f}"  # + 0.0: no minus before a zero


def _number(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{value:.4g}"


def _complex(value: complex) -> str:
    if value.imag == 0:
        return f"{value.real:.4g}"
    return f"{value.real:.4g} {'-' if value.imag < 0 else '+'} {abs(value.imag):.4g}i"


def _steps(value: int | None) -> str:
    return "beyond the depth" if value is None else f"{value} steps"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
