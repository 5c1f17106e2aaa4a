"""Clipping policies exactly as each framework executes them, in the precision the user trains in.

Parameter gradients are cast to the training dtype, where they may overflow or underflow as they would for the user, and
the framework's own sequence of operations runs on them:

torch         torch.nn.utils.clip_grad_norm_: all times min(1, c / (norm + 1e-6))
optax         optax.clip_by_global_norm: where the norm is at least c, (g / norm) c
keras         clipnorm: each tensor by itself, g c / max(norm, c); c = 0 means no clipping
keras_global  global_clipnorm: g c min(1 / norm, 1 / c), NaN everywhere once the norm is infinite; c = 0 as above
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array
from .parameter_gradients import ScaledArray
from .precision import PRECISIONS, Precision

Tensors = dict[str, Array]


@dataclass(frozen=True)
class ClippingPolicy:
    """kind: none, norm, value or per_step; norm_type 2 or inf; framework torch, optax, keras or keras_global."""

    kind: str
    threshold: float = np.inf
    norm_type: float = 2.0
    framework: str | None = None

    @property
    def rule(self) -> str:
        """The framework of a norm policy, torch unless named; else the kind."""
        return self.framework or "torch" if self.kind == "norm" else self.kind

    def summed_in(self, dtype: str) -> str:
        """The format that squares of gradients in the training dtype are summed in."""
        return "float32" if self.rule == "torch" and dtype == "float16" else dtype


@dataclass(frozen=True, eq=False)
class Clipped:
    """Gradients in the training dtype, before and after, and whether the policy stepped in.

    norm: of all gradients together as the framework forms it, None where it forms none. factors: what each tensor was
    multiplied by, None where entries were cut one by one.
    """

    before: Tensors
    after: Tensors
    triggered: bool
    norm: float | None
    factors: dict[str, float] | None


ON_OVERFLOW: Mapping[str, str] = {
    "torch": "where the norm overflows, PyTorch sets finite gradients to zero and turns infinite entries into NaN",
    "optax": "where the norm overflows, optax sets finite gradients to zero and turns infinite entries into NaN",
    "keras": "a tensor whose norm overflows becomes zero (its infinite entries NaN); the others are clipped as usual",
    "keras_global": "where the global norm overflows, Keras sets every gradient to NaN",
    "value": "an infinite entry is cut to the threshold like any other, which hides the overflow",
    "per_step": "the state gradient cannot overflow, since every entry is cut at every step",
}
"""What happens where the norm is infinite, by framework, or by kind where there is none."""


def clip(policy: ClippingPolicy, gradients: Mapping[str, ScaledArray], dtype: str) -> Clipped:
    """Cast parameter gradients of any magnitude to the training dtype and clip them there."""
    precision = PRECISIONS[dtype]
    return clip_tensors(
        policy, {name: precision.scaled(g.array, g.log_scale) for name, g in gradients.items()}, dtype
    )


def clip_tensors(policy: ClippingPolicy, before: Tensors, dtype: str) -> Clipped:
    """Clip gradients that are in the training dtype already."""
    precision = PRECISIONS[dtype]
    with np.errstate(all="ignore"):
        if policy.kind == "none":
            return Clipped(before, before, False, None, dict.fromkeys(before, 1.0))
        if policy.kind == "value":
            return _by_value(policy, before, precision)
        return _by_norm(policy, _RULES[policy.rule], before, precision)


def clip_runs(policy: ClippingPolicy, before: Tensors, dtype: str) -> tuple[Tensors, Array]:
    """Clip the gradients of many runs, each run by itself: tensors (R, ...), and for each run whether it was clipped.

    Policies that act elsewhere, as `none` and `per_step` do, leave them as they are.
    """
    precision = PRECISIONS[dtype]
    rows = {name: g.reshape(len(g), -1) for name, g in before.items()}
    runs = len(next(iter(rows.values())))
    with np.errstate(all="ignore"):
        if policy.kind in ("none", "per_step"):
            return before, np.zeros(runs, dtype=bool)
        if policy.kind == "value":
            return _runs_by_value(policy, before, precision)
        found = _rows_by_norm(policy, _RULES[policy.rule], rows, precision)
    return {name: found.after[name].reshape(g.shape) for name, g in before.items()}, found.triggered


@dataclass(frozen=True, eq=False)
class ClippedNorms:
    """For each of many gradients: the norm as the framework forms it, the factor, and whether the policy stepped in."""

    norm: Array
    factor: Array
    triggered: Array


def clip_norms(policy: ClippingPolicy, norms: Array, dtype: str) -> ClippedNorms:
    """What a norm policy does to gradients of these norms, each as if it were one number beside a zero.

    For a gradient of many numbers the squares add up to the same sum, and overflow alike; they may underflow earlier.
    """
    precision = PRECISIONS[dtype]
    with np.errstate(all="ignore"):
        return _norm_and_factor(policy, _RULES[policy.rule], [_beside_zero(precision.cast(norms))], precision)


def _by_value(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    after, triggered = _runs_by_value(policy, {name: g[None] for name, g in before.items()}, precision)
    return Clipped(before, {name: g[0] for name, g in after.items()}, bool(triggered.any()), None, None)


def _runs_by_value(policy: ClippingPolicy, before: Tensors, precision: Precision) -> tuple[Tensors, Array]:
    limit = precision.cast(np.asarray(policy.threshold))
    after = {name: np.clip(g, -limit, limit) for name, g in before.items()}
    # A NaN is cut by nothing, and neither is it within the limit.
    beyond = [~(np.abs(g) <= limit).reshape(len(g), -1).all(axis=1) for g in before.values()]
    return after, np.any(beyond, axis=0) if beyond else np.zeros(1, dtype=bool)


@dataclass(frozen=True)
class _Rule:
    """How a framework clips by norm. Functions of norms work on a whole array of them.

    norm: over the last axis of all tensors together. factor: from norm and threshold. within: from norm, threshold and
    factor, whether nothing is to be clipped. apply: to a tensor. each: every tensor by itself. zero_is_off: a
    threshold of zero means that nothing is clipped, and not that everything is.
    """

    norm: Callable[[Sequence[Array], ClippingPolicy, Precision], Array]
    factor: Callable[[Array, float, Precision], Array]
    within: Callable[[Array, Array, Array], Array]
    apply: Callable[[Array, Array, Array, Array, Precision], Array]
    each: bool = False
    zero_is_off: bool = False


def _by_norm(policy: ClippingPolicy, rule: _Rule, before: Tensors, precision: Precision) -> Clipped:
    if not before:  # of a network that diverged at its first step
        return Clipped(before, {}, False, 0.0, {})
    rows = {name: g.reshape(1, -1) for name, g in before.items()}
    found = _rows_by_norm(policy, rule, rows, precision)
    return Clipped(
        before,
        {name: found.after[name].reshape(g.shape) for name, g in before.items()},
        bool(found.triggered[0]),
        None if found.norm is None else float(found.norm[0]),
        {name: float(factor[0]) for name, factor in found.factors.items()},
    )


@dataclass(frozen=True, eq=False)
class _ClippedRows:
    """Tensors (R, n) after clipping, and for each row: was it clipped, of which norm, by which factors."""

    after: Tensors
    triggered: Array
    norm: Array | None
    factors: dict[str, Array]


def _rows_by_norm(policy: ClippingPolicy, rule: _Rule, before: Tensors, precision: Precision) -> _ClippedRows:
    limit = precision.cast(np.asarray(policy.threshold))
    groups = [[name] for name in before] if rule.each else [list(before)]
    off = rule.zero_is_off and policy.threshold == 0.0
    after: Tensors = {}
    factors: dict[str, Array] = {}
    triggered = np.zeros(len(next(iter(before.values()))), dtype=bool)
    norm = None
    for names in groups:
        found = _norm_and_factor(policy, rule, [before[name] for name in names], precision)
        norm, column = found.norm, (found.norm[:, None], found.factor[:, None])
        for name in names:
            after[name] = before[name] if off else rule.apply(before[name], *column, limit, precision)
            factors[name] = found.factor
        triggered |= found.triggered
    return _ClippedRows(after, triggered, None if rule.each else norm, factors)


def _norm_and_factor(
    policy: ClippingPolicy, rule: _Rule, tensors: Sequence[Array], precision: Precision
) -> ClippedNorms:
    norm = rule.norm(tensors, policy, precision)
    if rule.zero_is_off and policy.threshold == 0.0:
        return ClippedNorms(norm, np.ones(norm.shape), np.zeros(norm.shape, dtype=bool))
    factor = rule.factor(norm, policy.threshold, precision)
    limit = precision.cast(np.asarray(policy.threshold))
    return ClippedNorms(norm, factor, ~rule.within(norm, limit, factor))


def _norm_of_norms(tensors: Sequence[Array], policy: ClippingPolicy, precision: Precision) -> Array:
    """PyTorch's: half precision is squared and added in float32, and the norms of the tensors are rounded to it.

    The norm of a single number is its absolute value, which is never squared, and so does not overflow.
    """

    def norm(values: Array) -> Array:
        if values.shape[-1] == 1:
            return np.abs(values[..., 0])
        wide = values.astype(np.float32) if precision.carrier is np.float16 else values
        if np.isinf(policy.norm_type):
            return np.asarray(np.abs(wide).max(axis=-1)).astype(precision.carrier)
        return precision.rounded(np.sqrt(np.sum(wide * wide, axis=-1)).astype(precision.carrier))

    return norm(np.stack([norm(g) for g in tensors], axis=-1))


def _root_of_sum(tensors: Sequence[Array], _: ClippingPolicy, precision: Precision) -> Array:
    """optax's: one sum after another, each rounded."""
    total = np.zeros(tensors[0].shape[:-1], dtype=precision.carrier)
    for tensor in tensors:
        total = precision.rounded(np.asarray(total + _square_sum(tensor, precision)))
    return precision.rounded(np.sqrt(total))


def _root_of_stacked_sum(tensors: Sequence[Array], _: ClippingPolicy, precision: Precision) -> Array:
    """Keras's: all sums at once."""
    sums = np.stack([_square_sum(tensor, precision) for tensor in tensors], axis=-1)
    return precision.rounded(np.sqrt(_sum(sums, precision)))


def _torch_factor(norm: Array, threshold: float, precision: Precision) -> Array:
    # A number divided by a tensor is PyTorch's reciprocal times the number, which is not cast to half precision.
    wide = np.float64 if precision.carrier is np.float64 else np.float32
    divisor = _in(precision, np.add(norm, 1e-6, dtype=wide))
    reciprocal = _in(precision, np.divide(1.0, divisor, dtype=wide))
    ratio = _in(precision, np.multiply(reciprocal, threshold, dtype=wide))
    return np.minimum(ratio, precision.carrier(1.0))


def _ratio_above(norm: Array, threshold: float, precision: Precision) -> Array:
    limit = precision.cast(np.asarray(threshold))
    return np.where(norm < limit, 1.0, np.divide(limit, norm, dtype=np.float64))


def _ratio(norm: Array, threshold: float, precision: Precision) -> Array:
    limit = precision.cast(np.asarray(threshold))
    return np.asarray(np.divide(limit, np.maximum(norm, limit), dtype=np.float64))


def _keras_global_factor(norm: Array, threshold: float, precision: Precision) -> Array:
    limit = precision.cast(np.asarray(threshold))
    one = precision.carrier(1.0)
    smaller = np.minimum(precision.rounded(one / norm), precision.rounded(np.asarray(one / limit)))
    return precision.rounded(precision.rounded(limit * smaller) + (norm - norm))


_RULES: Mapping[str, _Rule] = {
    "torch": _Rule(
        norm=_norm_of_norms,
        factor=_torch_factor,
        within=lambda norm, limit, factor: factor == 1.0,
        apply=lambda g, norm, factor, limit, precision: precision.rounded(g * factor),
    ),
    "optax": _Rule(
        norm=_root_of_sum,
        factor=_ratio_above,
        within=lambda norm, limit, factor: norm < limit,
        apply=lambda g, norm, factor, limit, precision: np.where(
            norm < limit, g, precision.rounded(precision.rounded(g / norm) * limit)
        ),
    ),
    "keras": _Rule(
        norm=_root_of_sum,
        factor=_ratio,
        within=lambda norm, limit, factor: norm <= limit,
        apply=lambda g, norm, factor, limit, precision: precision.rounded(
            precision.rounded(g * limit) / np.maximum(norm, limit)
        ),
        each=True,
        zero_is_off=True,
    ),
    "keras_global": _Rule(
        norm=_root_of_stacked_sum,
        factor=_keras_global_factor,
        within=lambda norm, limit, factor: norm <= limit,
        apply=lambda g, norm, factor, limit, precision: precision.rounded(g * factor),
        zero_is_off=True,
    ),
}


def _beside_zero(norms: Array) -> Array:
    """(T,) to (T, 2): PyTorch forms the norm of a single number in another way than that of several."""
    return np.stack([norms, np.zeros_like(norms)], axis=-1)


def _in(precision: Precision, value: ArrayLike) -> Array:
    """Round what was computed in a wider format."""
    return precision.rounded(np.asarray(value).astype(precision.carrier))


def _square_sum(values: Array, precision: Precision) -> Array:
    """The sum of squares as array libraries form it: squares in the format, added in at least float32."""
    return _sum(precision.rounded(values * values), precision)


def _sum(values: Array, precision: Precision) -> Array:
    wide = np.float64 if precision.carrier is np.float64 else np.float32
    return _in(precision, np.sum(values, axis=-1, dtype=wide))
