"""Clipping policies exactly as each framework executes them, in the precision the user trains in.

Parameter gradients arrive as scaled arrays of any magnitude; they are first cast to the training dtype, where they
may overflow or underflow as they would for the user, and the framework's own sequence of operations runs on them:

torch         torch.nn.utils.clip_grad_norm_: all times min(1, c / (norm + 1e-6))
optax         optax.clip_by_global_norm: where the norm is at least c, (g / norm) c
keras         clipnorm: each tensor by itself, g c / max(norm, c)
keras_global  global_clipnorm: g c min(1 / norm, 1 / c), NaN everywhere once the norm is infinite
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .parameter_gradients import ScaledArray
from .precision import PRECISIONS, Precision

Tensors = dict[str, Array]


@dataclass(frozen=True)
class ClippingPolicy:
    """kind: norm, value or per_step; norm_type 2 or inf; framework torch, optax, keras or keras_global."""

    kind: str
    threshold: float
    norm_type: float = 2.0
    framework: str | None = None


@dataclass(frozen=True, eq=False)
class Clipped:
    """Gradients in the training dtype, before and after, and whether the policy stepped in."""

    before: Tensors
    after: Tensors
    triggered: bool


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
    """Cast parameter gradients to the training dtype and clip them there."""
    precision = PRECISIONS[dtype]
    before = {name: precision.scaled(g.array, g.log_scale) for name, g in gradients.items()}
    with np.errstate(all="ignore"):
        if policy.kind == "value":
            return _by_value(policy, before, precision)
        return _BY_NORM[policy.framework or "torch"](policy, before, precision)


def _by_value(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    limit = precision.cast(np.asarray(policy.threshold))
    after = {name: np.clip(g, -limit, limit) for name, g in before.items()}
    return Clipped(before, after, any(bool((np.abs(g) > limit).any()) for g in before.values()))


def _torch(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    def norm(values: Array) -> Array:
        wide = values.astype(np.float32) if precision.carrier is np.float16 else values
        if np.isinf(policy.norm_type):
            return np.asarray(np.abs(wide).max())
        return precision.rounded(np.sqrt(np.sum(wide * wide)).astype(precision.carrier))

    norms = np.array([norm(g) for g in before.values()], dtype=precision.carrier)
    # A number divided by a tensor is PyTorch's reciprocal times the number, which is not cast to half precision.
    wide = np.float64 if precision.carrier is np.float64 else np.float32
    divisor = _in(precision, np.add(norm(norms), 1e-6, dtype=wide))
    ratio = _in(
        precision,
        np.multiply(_in(precision, np.divide(1.0, divisor, dtype=wide)), policy.threshold, dtype=wide),
    )
    factor = np.minimum(ratio, precision.carrier(1.0))
    return Clipped(before, _times(before, factor, precision), not bool(factor == 1.0))


def _optax(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    norm = precision.rounded(np.sqrt(_sum([_square_sum(g, precision) for g in before.values()], precision)))
    limit = precision.cast(np.asarray(policy.threshold))
    if norm < limit:
        return Clipped(before, before, False)
    after = {name: precision.rounded(precision.rounded(g / norm) * limit) for name, g in before.items()}
    return Clipped(before, after, True)


def _keras(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    limit = precision.cast(np.asarray(policy.threshold))
    after, triggered = {}, False
    for name, g in before.items():
        norm = precision.rounded(np.sqrt(_square_sum(g, precision)))
        after[name] = precision.rounded(precision.rounded(g * limit) / np.maximum(norm, limit))
        triggered |= not bool(norm <= limit)
    return Clipped(before, after, triggered)


def _keras_global(policy: ClippingPolicy, before: Tensors, precision: Precision) -> Clipped:
    norms = [precision.rounded(np.sqrt(_square_sum(g, precision))) for g in before.values()]
    squares = [precision.rounded(norm * norm) for norm in norms]
    norm = precision.rounded(np.sqrt(_sum(squares, precision)))
    limit = precision.cast(np.asarray(policy.threshold))
    one = precision.carrier(1.0)
    scale = precision.rounded(
        limit * np.minimum(precision.rounded(one / norm), precision.rounded(one / limit))
    )
    scale = precision.rounded(scale + (norm - norm))
    return Clipped(before, _times(before, scale, precision), not bool(norm <= limit))


_BY_NORM: Mapping[str, Callable[[ClippingPolicy, Tensors, Precision], Clipped]] = {
    "torch": _torch,
    "optax": _optax,
    "keras": _keras,
    "keras_global": _keras_global,
}


def _in(precision: Precision, value: Array) -> Array:
    """Round what was computed in a wider format."""
    return precision.rounded(np.asarray(value).astype(precision.carrier))


def _times(tensors: Tensors, factor: Array, precision: Precision) -> Tensors:
    return {name: precision.rounded(g * factor) for name, g in tensors.items()}


def _square_sum(values: Array, precision: Precision) -> Array:
    """The sum of squares as array libraries form it: squares in the format, added in at least float32."""
    squares = precision.rounded(values * values)
    wide = np.float64 if precision.carrier is np.float64 else np.float32
    return precision.rounded(np.sum(squares, dtype=wide).astype(precision.carrier))


def _sum(values: list[Array], precision: Precision) -> Array:
    total = np.zeros((), dtype=precision.carrier)
    for value in values:
        total = precision.rounded(np.asarray(total + value, dtype=precision.carrier))
    return total
