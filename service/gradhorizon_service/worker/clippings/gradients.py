"""What clipping policies make of given gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..clipping import Clipped, ClippingPolicy, Tensors, clip_tensors
from ..diagnostics.clipping import compare
from ..horizon import LN10
from ..norm_history import log10
from ..parameter_gradients import ScaledArray
from ..precision import PRECISIONS
from ..statistics import log_norms

SMALL_VALUES = 256
"""Clipped gradients of at most so many numbers are reported without being asked for."""
_DOMINANT = 0.9
_NOT_FINITE = "a gradient is NaN or infinite before clipping"


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


def clipped_gradients(
    gradients: Mapping[str, Array], policies: Sequence[ClippingPolicy], dtype: str, *, include_values: bool
) -> tuple[GradientsBefore, list[ClippedGradients], list[str]]:
    """The gradients as they are given, what each policy makes of them in the training dtype, and warnings."""
    precision = PRECISIONS[dtype]
    held = {name: precision.cast(values) for name, values in gradients.items()}
    before = _before(gradients, held)
    scaled = _scaled(gradients)
    clipped = [_clipped(policy, before, scaled, held, dtype, include_values) for policy in policies]
    return before, clipped, _warnings(before, dtype)


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
    policy: ClippingPolicy,
    before: GradientsBefore,
    scaled: Mapping[str, ScaledArray] | None,
    held: Tensors,
    dtype: str,
    include_values: bool,
) -> ClippedGradients:
    found = clip_tensors(policy, held, dtype)
    total_norm, total_reason = _total_norm(policy, found, held, dtype)
    factor, factor_reason = _factor(policy, found)
    tensors = [_tensor_after(policy, tensor, found, include_values) for tensor in before.tensors]
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
        _says(policy, found, before, broken, factor, after, cosine, dtype),
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
        f"infinite: the gradients are finite, and the sum of their squares overflows {policy.summed_in(dtype)}",
    )


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
    policy: ClippingPolicy, before: TensorBefore, found: Clipped, include_values: bool
) -> TensorAfter:
    after = found.after[before.name].astype(np.float64)
    broken = int(after.size - np.isfinite(after).sum())
    factor, factor_reason = (
        _factor(policy, found) if found.factors is None else _finite_factor(found.factors[before.name])
    )
    entries = sum(values.size for values in found.after.values())
    wanted = include_values or entries <= SMALL_VALUES
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
        return f"nothing is clipped: the squares underflow in {policy.summed_in(dtype)}, and the norm reads 0"
    return f"nothing is clipped: the gradient is within {policy.threshold:g}"
