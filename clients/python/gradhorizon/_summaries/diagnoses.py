"""What a person wants to see of a diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .spectra import matrix_section
from .text import (
    Row,
    Section,
    Summary,
    bars,
    complex_number,
    decades,
    number,
    origin,
    percent,
    spread,
    steps,
    yes,
)

if TYPE_CHECKING:
    from ..schemas import Diagnosis
    from ..schemas.diagnoses import Evidence
    from ..schemas.diagnostics import FormatReachReport


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
        matrix_section(report.spectrum, report.nonnormality),
    ]
    return Summary(
        status=report.verdict.status,
        headline=report.verdict.summary,
        sections=tuple(section for section in sections if section is not None),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def _horizon(report: Diagnosis) -> Section:
    horizon, verdict = report.horizon, report.verdict
    rows = [("horizon", _steps_of_horizon(report))]
    if horizon.decades_per_step is not None:
        rows.append(("decades per step", number(horizon.decades_per_step)))
    rows.append(("the given gradient", verdict.given_cotangent))
    rows.append(("most directions are lost", yes(verdict.directions_vanish)))
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
    value = ("at most " if evidence.is_upper_bound else "") + number(evidence.value)
    return f"{value}, against a threshold of {number(evidence.threshold)}"


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
    shown = spread(norms.lag, report.horizon.steps)
    rows = tuple(
        (
            str(norms.lag[i]),
            decades(norms.log10_norm[i]),
            f"{decades(norms.log10_q10[i])} .. {decades(norms.log10_q90[i])}",
            decades(norms.log10_batch_norm[i]),
            bar,
        )
        for i, bar in zip(shown, bars(norms.log10_norm[shown]), strict=True)
    )
    notes = () if norms.reliable_reason is None else (norms.reliable_reason,)
    return Section("Gradient by lag, log10 norm", ("lag", "median", "10 .. 90 %", "batch", ""), rows, notes)


def _singular_values(report: Diagnosis) -> Section | None:
    values = report.singular_values
    if values is None or len(values.log10) == 0:
        return None
    rows = [("largest", decades(values.log10[0])), ("smallest", decades(values.log10[-1]))]
    if len(values.log10) == values.count:
        rows.insert(1, ("median", decades(float(np.median(values.log10)))))
    rows.append(("reliable", yes(values.reliable)))
    notes = () if values.reliable_reason is None else (values.reliable_reason,)
    title = f"Singular values of the whole transport, log10 ({len(values.log10)} of {values.count})"
    return Section(title, ("", ""), tuple(rows), notes)


def _parameters(report: Diagnosis) -> Section | None:
    gradient = report.parameter_gradient
    if gradient is None:
        return None
    rows = tuple((name, decades(norm)) for name, norm in gradient.log10_norm.items())
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
    before, after = decades(clipping.log10_norm_before), decades(clipping.log10_norm_after)
    rows = (
        (
            "policy",
            " ".join(filter(None, (clipping.policy, f"at {clipping.threshold:g}", clipping.framework))),
        ),
        ("log10 norm", f"{before} -> {after}"),
        ("factor", number(clipping.factor)),
        ("horizon", f"{steps(clipping.horizon_before)} -> {steps(clipping.horizon_after)}"),
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
            f"{steps(found.horizon_before)} -> {steps(found.horizon_after)}",
            f"{decades(found.log10_growth_before)} -> {decades(found.log10_growth_after)}",
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
            (f"{name}: saturated slopes", f"{percent(found.saturated_share)}, below {number(found.level)}"),
            (f"{name}: log10 slope, median", decades(found.log10_slope)),
            (
                f"{name}: units saturated mostly, always, dead",
                f"{found.mostly_saturated}, {found.always_saturated}, {found.dead} of {found.units}",
            ),
        ]
    for name, gate in (saturation.gates or {}).items():
        rows.append(
            (
                f"{name}: mean, 10 .. 90 %",
                f"{number(gate.mean)}, {number(gate.q10)} .. {number(gate.q90)}",
            )
        )
        if gate.time_constant is not None:
            rows.append((f"{name}: time constant", f"{number(gate.time_constant)} steps"))
    decay = saturation.decay
    if decay.decades_per_step is not None:
        rows.append(("decades per step", number(decay.decades_per_step)))
    if decay.decades_per_step_from_slopes is not None:
        rows += [
            ("of these, from slopes", number(decay.decades_per_step_from_slopes)),
            ("of these, from weights", number(decay.decades_per_step_from_weights)),
        ]
    reason = decay.decades_per_step_reason or decay.decades_per_step_from_slopes_reason
    return Section("Saturation", ("", ""), tuple(rows), (saturation.says, *filter(None, (reason,))))


def _states(report: Diagnosis) -> Section | None:
    states = report.state_norms
    if states is None or len(states.step) == 0:
        return None
    rows = (
        (f"at step {states.step[0]}", decades(states.log10_norm[0])),
        ("largest", decades(states.log10_norm.max())),
        (f"at step {states.step[-1]}", decades(states.log10_norm[-1])),
    )
    return Section("State, log10 norm", ("", ""), rows)


def _lyapunov(report: Diagnosis) -> Section | None:
    lyapunov = report.lyapunov
    if lyapunov is None or len(lyapunov.exponents) == 0:
        return None
    rows = tuple(
        (f"exponent {i + 1}", f"{number(exponent)} +- {number(error)}")
        for i, (exponent, error) in enumerate(
            zip(lyapunov.exponents[:3], lyapunov.standard_errors[:3], strict=True)
        )
    )
    rows += (("converged", yes(lyapunov.converged)),)
    notes = () if lyapunov.exponents_reason is None else (lyapunov.exponents_reason,)
    return Section("Lyapunov exponents, nats per step", ("", ""), rows, notes)


def _mean_field(report: Diagnosis) -> Section | None:
    theory = report.mean_field
    if theory is None:
        return None
    rows = (
        ("phase", theory.phase),
        ("chi_1", number(theory.chi_1)),
        ("critical weight variance", number(theory.critical_weight_variance)),
        ("weight variance", number(theory.weight_variance)),
        ("decades per step, predicted", number(theory.predicted_log10_growth_per_step)),
        ("decades per step, measured", number(theory.measured_log10_growth_per_step)),
    )
    return Section("Mean-field theory of the ensemble", ("", ""), rows, (theory.says,))


def _echo_state(report: Diagnosis) -> Section | None:
    echo = report.echo_state
    if echo is None:
        return None
    rows = (
        ("effective spectral radius", number(echo.effective_spectral_radius)),
        ("bound on one step", number(echo.sigma_max_condition.value)),
        ("exponent under this input", _or_undefined(echo.conditional_lyapunov_exponent)),
        ("memory capacity", f"{_or_undefined(echo.memory_capacity)} of {echo.memory_capacity_bound}"),
    )
    reasons = (echo.conditional_lyapunov_exponent_reason, echo.memory_capacity_reason)
    notes = (
        f"spectral radius {number(echo.spectral_radius_condition.value)}: {echo.spectral_radius_condition.proves}",
        f"bound {number(echo.sigma_max_condition.value)}: {echo.sigma_max_condition.proves}",
        *(reason for reason in reasons if reason is not None),
    )
    return Section("Echoes", ("", ""), rows, notes)


def _or_undefined(value: float | None) -> str:
    return "undefined" if value is None else number(value)


def _modes(report: Diagnosis) -> Section | None:
    modes = report.modes
    if modes is None or len(modes.eigenvalues) == 0:
        return None
    rows = tuple(
        (complex_number(modes.eigenvalues[i]), decades(modes.log10_growth[i]), modes.growth_class[i])
        for i in range(min(5, len(modes.eigenvalues)))
    )
    notes = () if modes.dominance_reason is None else (modes.dominance_reason,)
    return Section("Modes", ("eigenvalue", "log10 growth", "class"), rows, notes)
