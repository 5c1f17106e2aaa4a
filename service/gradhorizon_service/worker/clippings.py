"""What clipping policies make of given gradients, or of a history of their norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .clipping import Clipped, ClippingPolicy, Tensors, clip_norms, clip_tensors
from .diagnostics.clipping import compare
from .horizon import LN10
from .norm_history import Event, NormHistory, describe, log10, times
from .parameter_gradients import ScaledArray
from .precision import PRECISIONS
from .statistics import log_norms
from .threshold_advice import ThresholdAdvice, advise

SMALL_VALUES = 256
"""Clipped gradients of at most so many numbers are reported without being asked for."""
_DOMINANT = 0.9
_NOT_FINITE = "a gradient is NaN or infinite before clipping"


@dataclass(frozen=True, eq=False)
class ClippingsProblem:
    """Gradients by name or norms (T,), one of them; policies; the format the framework holds gradients in."""

    gradients: Mapping[str, Array] | None
    norms: Array | None
    policies: tuple[ClippingPolicy, ...]
    dtype: str
    max_points: int
    include_values: bool


@dataclass(frozen=True, eq=False)
class TensorBefore:
    """One gradient as it was given, and what the training dtype makes of it before anything is clipped.

    share: of the sum of squares of all gradients.
    """

    name: str
    shape: list[int]
    log10_norm: float
    log10_norm_reason: str | None
    share: float | None
    share_reason: str | None
    nans: int
    infinities: int
    zeros: int
    become_infinite: int
    become_zero: int


@dataclass(frozen=True, eq=False)
class GradientsBefore:
    """All gradients as they were given."""

    log10_total_norm: float
    log10_total_norm_reason: str | None
    entries: int
    tensors: list[TensorBefore]


@dataclass(frozen=True, eq=False)
class TensorAfter:
    """One gradient after clipping."""

    name: str
    log10_norm_before: float
    log10_norm_before_reason: str | None
    log10_norm_after: float
    log10_norm_after_reason: str | None
    factor: float | None
    factor_reason: str | None
    non_finite_after: int
    values: Array | None
    values_reason: str | None


@dataclass(frozen=True, eq=False)
class ClippedGradients:
    """What one policy makes of all gradients together, and of each."""

    policy: ClippingPolicy
    total_norm: float | None
    total_norm_reason: str | None
    log10_total_norm: float
    log10_total_norm_reason: str | None
    log10_norm_after: float
    log10_norm_after_reason: str | None
    clipped: bool
    factor: float | None
    factor_reason: str | None
    cosine: float | None
    cosine_reason: str | None
    non_finite_after: int
    tensors: list[TensorAfter]
    says: str


@dataclass(frozen=True, eq=False)
class ClippedHistory:
    """What one policy would have done to a history: how often it steps in, and what it leaves of the updates.

    mean_factor is over the finite norms; kept_length is the sum of the clipped norms over the sum of the norms.
    total_norm (as the framework forms it), clipped and factor belong to the steps of the history's series, NaN where
    the framework makes NaN or infinity.
    """

    policy: ClippingPolicy
    steps_clipped: int
    share_clipped: float
    mean_factor: float | None
    mean_factor_reason: str | None
    kept_length: float | None
    kept_length_reason: str | None
    total_norm: Array
    clipped: Array
    factor: Array
    events: list[Event]
    says: str


@dataclass(frozen=True, eq=False)
class ClippingsResult:
    """Either gradients and what comes out of them by policy, or a history and what would have; advice for both."""

    gradients: GradientsBefore | None
    policies: list[ClippedGradients] | list[ClippedHistory]
    history: NormHistory | None
    advice: ThresholdAdvice
    warnings: list[str]


def clippings(problem: ClippingsProblem) -> ClippingsResult:
    """Run every policy on the gradients, or on each norm of the history."""
    if problem.gradients is not None:
        return _of_gradients(problem, problem.gradients)
    assert problem.norms is not None, "one of the two is given"
    return _of_norms(problem, problem.norms)


# -- gradients -------------------------------------------------------------------------------------------------------


def _of_gradients(problem: ClippingsProblem, gradients: Mapping[str, Array]) -> ClippingsResult:
    precision = PRECISIONS[problem.dtype]
    held = {name: precision.cast(values) for name, values in gradients.items()}
    before = _before(gradients, held)
    scaled = _scaled(gradients)
    policies = [_clipped(problem, policy, before, scaled, held) for policy in problem.policies]
    with np.errstate(over="ignore"):
        advice = advise(np.power(10.0, np.array([before.log10_total_norm])))
    return ClippingsResult(before, policies, None, advice, _warnings(before, problem.dtype))


def _before(gradients: Mapping[str, Array], held: Tensors) -> GradientsBefore:
    logs = {name: _log10_norm(values) for name, values in gradients.items()}
    total = _total(np.array(list(logs.values())))
    tensors = [_tensor_before(name, g, held[name], logs[name], total) for name, g in gradients.items()]
    return GradientsBefore(
        total,
        _NOT_FINITE if np.isnan(total) else None,
        sum(g.size for g in gradients.values()),
        tensors,
    )


def _tensor_before(name: str, given: Array, held: Array, log10_norm: float, total: float) -> TensorBefore:
    share = None if np.isnan(total) or total == -np.inf else float(10.0 ** (2.0 * (log10_norm - total)))
    reason = _NOT_FINITE if np.isnan(total) else "every gradient is exactly zero"
    return TensorBefore(
        name,
        list(given.shape),
        log10_norm,
        _NOT_FINITE if np.isnan(log10_norm) else None,
        share,
        None if share is not None else reason,
        int(np.isnan(given).sum()),
        int(np.isinf(given).sum()),
        int((given == 0.0).sum()),
        int((np.isinf(held) & np.isfinite(given)).sum()),
        int(((held == 0.0) & (given != 0.0)).sum()),
    )


def _log10_norm(values: Array) -> float:
    """log10 of the Euclidean norm, -inf for zero, NaN where an entry is not finite."""
    return float(log_norms(values.ravel())) / LN10 if np.isfinite(values).all() else np.nan


def _total(logs: Array) -> float:
    """log10 of the root of the sum of squares."""
    largest = float(logs.max())
    if not np.isfinite(largest):
        return largest
    return float(largest + 0.5 * log10(float(np.sum(10.0 ** (2.0 * (logs - largest))))))


def _scaled(tensors: Mapping[str, Array]) -> dict[str, ScaledArray] | None:
    """Tensors of any magnitude in float64, None where an entry is not finite."""
    if not all(np.isfinite(values).all() for values in tensors.values()):
        return None
    return {name: ScaledArray.of(values.astype(np.float64)) for name, values in tensors.items()}


def _warnings(before: GradientsBefore, dtype: str) -> list[str]:
    infinite = sum(tensor.become_infinite for tensor in before.tensors)
    zero = sum(tensor.become_zero for tensor in before.tensors)
    found = []
    if infinite:
        found.append(f"{infinite} of {before.entries} entries are beyond {dtype} and become infinite in it")
    if zero:
        found.append(f"{zero} of {before.entries} entries are below {dtype} and become zero in it")
    largest = max(before.tensors, key=lambda tensor: tensor.share or 0.0)
    if len(before.tensors) > 1 and (largest.share or 0.0) > _DOMINANT:
        found.append(
            f"{largest.name} holds {100.0 * (largest.share or 0.0):.4g} % of the squared norm: a global norm is its "
            "norm, and the other tensors are scaled by what happens there"
        )
    return found


def _clipped(
    problem: ClippingsProblem,
    policy: ClippingPolicy,
    before: GradientsBefore,
    scaled: Mapping[str, ScaledArray] | None,
    held: Tensors,
) -> ClippedGradients:
    found = clip_tensors(policy, held, problem.dtype)
    total_norm, total_reason = _total_norm(policy, found, held, problem.dtype)
    factor, factor_reason = _factor(policy, found)
    tensors = [_tensor_after(problem, policy, tensor, found) for tensor in before.tensors]
    cosine, cosine_reason = _cosine(scaled, found)
    broken = sum(tensor.non_finite_after for tensor in tensors)
    after = np.nan if broken else _total(np.array([tensor.log10_norm_after for tensor in tensors]))
    return ClippedGradients(
        policy,
        total_norm,
        total_reason,
        before.log10_total_norm,
        before.log10_total_norm_reason,
        after,
        f"{broken} of {before.entries} entries are NaN or infinite after clipping" if broken else None,
        found.triggered,
        factor,
        factor_reason,
        cosine,
        cosine_reason,
        broken,
        tensors,
        _says(policy, found, before, broken, factor, after, cosine, problem.dtype),
    )


def _total_norm(
    policy: ClippingPolicy, found: Clipped, held: Tensors, dtype: str
) -> tuple[float | None, str | None]:
    if found.norm is None:
        return None, _NO_TOTAL_NORM[policy.rule]
    if np.isfinite(found.norm):
        return found.norm, None
    if np.isnan(found.norm):
        return None, "NaN, because a gradient is NaN"
    if any(np.isinf(values).any() for values in held.values()):
        return None, f"infinite, because a gradient is infinite in {dtype}"
    return (
        None,
        f"infinite: the gradients are finite, and the sum of their squares overflows {_summed_in(policy, dtype)}",
    )


def _summed_in(policy: ClippingPolicy, dtype: str) -> str:
    return "float32" if policy.rule == "torch" and dtype == "float16" else dtype


_NO_TOTAL_NORM: Mapping[str, str] = {
    "none": "nothing is clipped, so no norm is formed",
    "value": "clipping by value forms no norm",
    "keras": "clipnorm takes the norm of each tensor by itself, and none of all of them",
}


def _factor(policy: ClippingPolicy, found: Clipped) -> tuple[float | None, str | None]:
    if found.factors is None:
        return None, "entries are cut one by one, so no factor does it"
    if policy.rule == "keras" and len(found.factors) > 1:
        return None, "every tensor has a factor of its own: see `tensors`"
    return _finite_factor(next(iter(found.factors.values())))


def _finite_factor(factor: float) -> tuple[float | None, str | None]:
    if np.isfinite(factor):
        return factor, None
    return None, "the factor is NaN, and so is everything it multiplies"


def _tensor_after(
    problem: ClippingsProblem, policy: ClippingPolicy, before: TensorBefore, found: Clipped
) -> TensorAfter:
    after = found.after[before.name].astype(np.float64)
    broken = int(after.size - np.isfinite(after).sum())
    factor, factor_reason = (
        _factor(policy, found) if found.factors is None else _finite_factor(found.factors[before.name])
    )
    entries = sum(values.size for values in found.after.values())
    wanted = problem.include_values or entries <= SMALL_VALUES
    values_reason = None if wanted else "left out because they are many: ask with `include`"
    if broken:
        values_reason = "an entry is NaN or infinite, which JSON has no number for"
    return TensorAfter(
        before.name,
        before.log10_norm,
        before.log10_norm_reason,
        _log10_norm(after),
        "an entry is NaN or infinite after clipping" if broken else None,
        factor,
        factor_reason,
        broken,
        after if values_reason is None else None,
        values_reason,
    )


def _cosine(scaled: Mapping[str, ScaledArray] | None, found: Clipped) -> tuple[float | None, str | None]:
    if scaled is None:
        return None, _NOT_FINITE
    comparison = compare(scaled, _scaled(found.after))
    return comparison.cosine, comparison.cosine_reason


def _says(
    policy: ClippingPolicy,
    found: Clipped,
    before: GradientsBefore,
    broken: int,
    factor: float | None,
    log10_after: float,
    cosine: float | None,
    dtype: str,
) -> str:
    if broken == before.entries:
        return (
            f"every gradient is NaN or infinite {_after_what(policy, found)}: the next update destroys the "
            "parameters"
        )
    if broken:
        return (
            f"{broken} of {before.entries} entries are NaN or infinite {_after_what(policy, found)}: the next update "
            "destroys their parameters"
        )
    if log10_after == -np.inf and before.log10_total_norm != -np.inf:
        return f"every gradient is zero {_after_what(policy, found)}: this step is lost"
    if not found.triggered:
        return _untouched(policy, found, before, dtype)
    if policy.kind == "value":
        angle = "" if cosine is None else f", which leaves a cosine of {cosine:.4g} to the unclipped gradient"
        return f"entries are cut to {policy.threshold:g} one by one{angle}"
    if policy.rule == "keras" and len(found.after) > 1:
        cut = sum(f != 1.0 for f in (found.factors or {}).values())
        angle = "" if cosine is None else f", which leaves a cosine of {cosine:.4g} to the unclipped gradient"
        return f"{cut} of {len(found.after)} tensors are scaled, each by a factor of its own{angle}"
    return f"every gradient is multiplied by {factor:.4g}: shorter, and the direction stays"


def _after_what(policy: ClippingPolicy, found: Clipped) -> str:
    if policy.kind != "norm" or found.norm is None or np.isfinite(found.norm):
        return "after this policy"
    if np.isnan(found.norm):
        return "after this policy, because the norm is NaN"
    return "after this policy, because the norm is infinite"


def _untouched(policy: ClippingPolicy, found: Clipped, before: GradientsBefore, dtype: str) -> str:
    if policy.kind == "none":
        return "nothing is clipped"
    if policy.threshold == 0.0 and policy.rule in ("keras", "keras_global"):
        return "nothing is clipped: Keras reads a threshold of 0 as no clipping"
    if found.norm == 0.0 and before.log10_total_norm != -np.inf:
        return (
            f"nothing is clipped: the squares underflow in {_summed_in(policy, dtype)}, and the norm reads 0"
        )
    return f"nothing is clipped: the gradient is within {policy.threshold:g}"


# -- norms -----------------------------------------------------------------------------------------------------------


def _of_norms(problem: ClippingsProblem, norms: Array) -> ClippingsResult:
    history = describe(norms, problem.max_points)
    histories = [_clipped_history(policy, norms, history.step, problem.dtype) for policy in problem.policies]
    return ClippingsResult(None, histories, history, advise(norms), [])


def _clipped_history(policy: ClippingPolicy, norms: Array, shown: Array, dtype: str) -> ClippedHistory:
    if policy.kind == "none":
        triggered, factor, formed = np.zeros(norms.shape, dtype=bool), np.ones(norms.shape), norms
    else:
        found = clip_norms(policy, norms, dtype)
        triggered, factor, formed = found.triggered, found.factor.astype(np.float64), found.norm
    finite = np.isfinite(norms)
    mean, mean_reason = _mean_factor(factor[finite])
    kept, kept_reason = _kept_length(norms[finite], factor[finite])
    clipped = int(triggered.sum())
    events = [] if policy.kind == "none" else _events(norms, formed, factor, policy, dtype)
    return ClippedHistory(
        policy,
        clipped,
        clipped / len(norms),
        mean,
        mean_reason,
        kept,
        kept_reason,
        np.where(np.isfinite(formed), formed, np.nan)[shown].astype(np.float64),
        triggered[shown],
        np.where(np.isnan(factor), np.nan, factor)[shown],  # one NaN, whatever sign arithmetic gave it
        events,
        _history_says(clipped, len(norms), mean, kept, events),
    )


def _mean_factor(factor: Array) -> tuple[float | None, str | None]:
    if len(factor) == 0:
        return None, "none of the norms is a finite number"
    if np.isnan(factor).any():
        return None, f"the factor is NaN at {times(int(np.isnan(factor).sum()), 'step')}"
    return float(factor.mean()), None


def _kept_length(norms: Array, factor: Array) -> tuple[float | None, str | None]:
    if not norms.any():
        return None, "no finite norm is above zero"
    if np.isnan(factor).any():
        return None, f"the factor is NaN at {times(int(np.isnan(factor).sum()), 'step')}"
    relative = norms / norms.max()
    return float(np.sum(relative * factor) / np.sum(relative)), None


def _events(norms: Array, formed: Array, factor: Array, policy: ClippingPolicy, dtype: str) -> list[Event]:
    """What the format and the framework make of finite norms."""
    finite = np.isfinite(norms)
    summed = _summed_in(policy, dtype)
    return [
        *Event.at(
            "overflow",
            finite & np.isinf(formed),
            f"the norm is finite, and infinite where the framework forms it in {summed}",
        ),
        *Event.at(
            "underflow",
            (norms > 0.0) & (formed == 0.0),
            f"the norm is above zero, and zero where the framework forms it in {summed}",
        ),
        *Event.at(
            "nan_factor", np.isnan(factor), "the factor is NaN: every gradient of the step becomes NaN"
        ),
        *Event.at(
            "lost", finite & (norms > 0.0) & (factor == 0.0), "the factor is zero: the step changes nothing"
        ),
    ]


def _history_says(
    clipped: int, count: int, mean: float | None, kept: float | None, events: list[Event]
) -> str:
    said = f"steps in at {clipped} of {times(count, 'step')} ({100.0 * clipped / count:.3g} %)"
    if mean is not None and kept is not None:
        said += f"; updates keep {100.0 * kept:.3g} % of their length, the mean factor is {mean:.3g}"
    odd = [f"{event.kind.replace('_', ' ')} at {times(event.count, 'step')}" for event in events]
    return "; ".join([said, *odd])
