"""What clipping really does to this gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..clipping import ON_OVERFLOW, ClippingPolicy, clip
from ..horizon import LN10, level_nats
from ..parameter_gradients import ScaledArray
from ..problem import Problem
from ..runs import Run
from ..statistics import root_sum_of_squares
from ._diagnostic import untrained
from ._series import reported_lags
from .parameter_gradient import share_series


def without_policy(problem: Problem) -> str | None:
    """Why there is no clipping to report on."""
    if problem.clipping is None:
        return "there is no clipping policy in the request"
    if not problem.network.kind.has_states:
        return "clipping acts on parameter gradients, and step Jacobians come without parameters"
    if (reason := untrained(problem)) is not None:
        return reason
    if problem.clipping.kind == "per_step" and problem.truncate is not None:
        return "clipping at every step and truncation cannot be combined"
    return None


@dataclass(frozen=True, eq=False)
class ClippingEffect:
    """Norms, factor and direction of all parameter gradients together, and the horizon, before and after."""

    policy: str
    framework: str | None
    threshold: float
    parameters: list[str]
    log10_norm_before: float
    log10_norm_after: float
    log10_norm_after_reason: str | None
    factor: float | None
    factor_reason: str | None
    triggered: bool
    cosine: float | None
    cosine_reason: str | None
    lag: Array
    share_before: Array
    share_after: Array | None
    share_after_reason: str | None
    horizon_before: int | None
    horizon_after: int | None
    on_overflow: str
    says: str


def clipping(run: Run) -> ClippingEffect:
    """Run the policy of the request on the gradients of this run."""
    policy = run.problem.clipping
    assert policy is not None, "the diagnostic applies only with a policy"
    before = run.parameter_gradients()
    after, triggered = _after(run, policy, before)
    comparison = compare(before, after)
    lags = reported_lags(run.problem.lags, run.depth, run.problem.max_points)
    lag, share_before, _ = share_series(run.shares(lags))
    share_after, share_reason = _shares_after(run, policy, comparison, lags, share_before)
    nats = level_nats(run.problem.horizon_level)
    horizon_before = run.crossing(nats).first
    cut = policy.kind == "per_step"
    horizon_after = run.crossing(nats, clipped=True).first if cut else horizon_before
    return ClippingEffect(
        policy.kind,
        policy.framework,
        policy.threshold,
        list(before),
        comparison.log10_norm_before,
        comparison.log10_norm_after,
        comparison.after_reason,
        comparison.factor,
        comparison.factor_reason,
        triggered,
        comparison.cosine,
        comparison.cosine_reason,
        lag,
        share_before,
        share_after,
        share_reason,
        horizon_before,
        horizon_after,
        ON_OVERFLOW[policy.rule],
        _says(policy, triggered, comparison, horizon_before, horizon_after),
    )


@dataclass(frozen=True)
class Comparison:
    """All gradients as one vector, before and after: norms, their ratio, and the angle between them."""

    log10_norm_before: float
    log10_norm_after: float
    after_reason: str | None
    factor: float | None
    factor_reason: str | None
    cosine: float | None
    cosine_reason: str | None


def compare(before: Mapping[str, ScaledArray], after: Mapping[str, ScaledArray] | None) -> Comparison:
    """Compare scaled gradients; None for an outcome that holds a NaN or an infinity."""
    log_before = _log_norm(before)
    if after is None:
        reason = "the framework leaves NaN or infinity in the gradients"
        return Comparison(log_before / LN10, np.nan, reason, None, reason, None, reason)
    log_after = _log_norm(after)
    log10_after = log_after / LN10
    if log_before == -np.inf:
        reason = "the gradient is exactly zero before clipping"
        return Comparison(log_before / LN10, log10_after, None, None, reason, None, reason)
    factor = float(np.exp(min(log_after - log_before, 700.0)))
    if log_after == -np.inf:
        reason = "the gradient is exactly zero after clipping, in the training dtype"
        return Comparison(log_before / LN10, log10_after, None, 0.0, None, None, reason)
    inner = sum(
        float(np.vdot(_unit(before[name], log_before), _unit(after[name], log_after))) for name in before
    )
    return Comparison(
        log_before / LN10, log10_after, None, factor, None, float(np.clip(inner, -1.0, 1.0)), None
    )


def _unit(gradient: ScaledArray, log_norm: float) -> Array:
    return np.asarray(gradient.array * np.exp(gradient.log_scale - log_norm))


def _log_norm(gradients: Mapping[str, ScaledArray]) -> float:
    return float(root_sum_of_squares(np.array([g.log_norm for g in gradients.values()])))


def _after(
    run: Run, policy: ClippingPolicy, before: Mapping[str, ScaledArray]
) -> tuple[Mapping[str, ScaledArray] | None, bool]:
    if policy.kind == "per_step":
        after = run.parameter_gradients(clipped=True)
        changed = any(
            after[name].log_scale != g.log_scale or not np.array_equal(after[name].array, g.array)
            for name, g in before.items()
        )
        return after, changed
    outcome = clip(policy, before, run.problem.dtype)
    return _as_scaled(outcome.after), outcome.triggered


def _as_scaled(tensors: Mapping[str, Array]) -> Mapping[str, ScaledArray] | None:
    if not all(np.isfinite(t).all() for t in tensors.values()):
        return None
    return {name: ScaledArray.of(t.astype(np.float64)) for name, t in tensors.items()}


def _shares_after(
    run: Run, policy: ClippingPolicy, comparison: Comparison, lags: Array, before: Array
) -> tuple[Array | None, str | None]:
    if not np.isfinite(comparison.log10_norm_after) and np.isfinite(comparison.log10_norm_before):
        return None, comparison.after_reason or comparison.cosine_reason
    if policy.kind == "value":
        return None, "clipping by value cuts entries of the sum over lags, which no longer splits into lags"
    if policy.kind == "norm":
        return before, "clipping by norm multiplies every lag by the same factor"
    return share_series(run.shares(lags, clipped=True))[1], None


def _says(
    policy: ClippingPolicy, triggered: bool, comparison: Comparison, before: int | None, after: int | None
) -> str:
    if np.isnan(comparison.log10_norm_after):
        return "clipping destroys this gradient: what reaches the optimizer holds NaN or infinity"
    if not triggered and comparison.factor == 0.0:
        return (
            "the policy does not step in, but in the training dtype this gradient underflows to zero: nothing of it "
            "reaches the optimizer"
        )
    if not triggered and policy.threshold == 0.0 and policy.rule in ("keras", "keras_global"):
        return "the policy never steps in: Keras reads a threshold of 0 as no clipping"
    if not triggered:
        return "the policy does not step in: this gradient is within its threshold, and the horizon is where it was"
    if policy.kind == "norm" and policy.framework == "keras":
        return (
            "the gradient of each parameter is scaled by itself, which turns them as a whole; within a parameter every "
            "lag shrinks alike, so the horizon stays where it was"
        )
    if policy.kind == "norm" and comparison.factor is None:
        return "the policy steps in, and there is nothing to multiply: this gradient is exactly zero"
    if policy.kind == "norm":
        return (
            f"the gradient is multiplied by {comparison.factor:.3g} as a whole: every lag shrinks alike, so the "
            "horizon stays where it was"
        )
    if policy.kind == "value":
        angle = (
            ""
            if comparison.cosine is None
            else f" (cosine {comparison.cosine:.3f} to the unclipped gradient)"
        )
        return f"entries are cut one by one, which turns the gradient{angle}; the horizon stays where it was"
    moved = "stays where it was" if before == after else f"moves from {before} to {after} steps"
    return f"the state gradient is cut at every step: it cannot explode backwards, and the horizon {moved}"
