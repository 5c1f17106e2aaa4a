"""What the norms of a recurrent matrix prove about its gradients, and what they are wrongly quoted for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROUNDING = 1e-12  # a value this close to its threshold, relatively, is neither above nor below it


@dataclass(frozen=True)
class Statement:
    """One inequality: whether it holds, what that proves for this matrix, and what it does not prove."""

    name: str
    holds: bool
    quantity: str
    value: float
    threshold: float
    proves: str
    does_not_prove: str


@dataclass(frozen=True)
class PascanuConditions:
    """The two conditions that bind the network at hand, and every statement behind them.

    `gamma` is the activation's largest slope and `one_step_norm_bound` what no step's Jacobian exceeds in norm:
    gamma sigma_max for diag(phi') W. For a linear network the conditions are those on the spectral radius.
    """

    gamma: float
    one_step_norm_bound: float
    sufficient_for_vanishing: bool
    necessary_for_exploding: bool
    statements: tuple[Statement, ...]


def pascanu_conditions(
    spectral_radius: float, spectral_norm: float, gamma: float, *, linear: bool
) -> PascanuConditions:
    """The statements of section 2.1 in R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013, for one matrix.

    Linear: a spectral radius below 1 is sufficient for vanishing in the limit, one above 1 necessary for
    exponential exploding. Nonlinear: a largest *singular value* below 1/gamma is sufficient for vanishing,
    one above 1/gamma necessary for exploding. Often quoted with the spectral radius in its place, which is
    false: [[0.5, 100], [0, 0.4]] has radius 0.5, and with gamma = 1 multiplies a gradient by 100 in one step.
    The statements on singular values hold for linear networks too, whose `gamma` is 1.
    """
    bound = gamma * spectral_norm
    return _conditions(
        gamma,
        bound,
        *(radius_statements(spectral_radius) if linear else ()),
        _norm_vanishing(spectral_norm, 1.0 / gamma, bound),
        _norm_exploding(spectral_norm, 1.0 / gamma, bound),
    )


def kept_state_conditions(
    spectral_norm: float, gamma: float, retention: float, gain: float, radius: float | None
) -> PascanuConditions:
    """The same for steps r I + g diag(phi') W, whose norm is at most r + abs(g) gamma sigma_max, r in [0, 1].

    With r = 1 - g (leaky units) that is below 1 exactly where gamma sigma_max is; with r = 1 (residual
    updates) never. `radius` is that of r I + g W where phi is the identity, else None.
    """
    bound = retention + abs(gain) * gamma * spectral_norm
    threshold = 1.0 / gamma if retention < 1.0 else 0.0
    return _conditions(
        gamma,
        bound,
        *(() if radius is None else radius_statements(radius, "step_spectral_radius")),
        _norm_vanishing(spectral_norm, threshold, bound),
        _norm_exploding(spectral_norm, threshold, bound),
    )


def delayed_conditions(
    recurrent: float, skipped: float, gamma: float, delay: int, radius: float | None
) -> PascanuConditions:
    """The same for h_t from h_(t-1) and h_(t-d), with bounds on the norms of its two Jacobians.

    The state holds d values of h. A step passes d - 1 of them on, so that its norm is never below 1: it is at
    most that of [[recurrent, skipped], [1, 0]]. Yet if q = recurrent + skipped < 1, every new value is at most
    q times the largest of those before it, and after d steps only new ones are left. `radius` is that of the
    whole step where phi is the identity, else None.
    """
    bound = float(np.linalg.norm([[recurrent, skipped], [1.0, 0.0]], 2))
    return _conditions(
        gamma,
        bound,
        *(() if radius is None else radius_statements(radius, "step_spectral_radius")),
        _delayed_vanishing(recurrent + skipped, delay),
        _delayed_exploding(recurrent + skipped, bound, delay),
    )


def radius_statements(radius: float, quantity: str = "spectral_radius") -> tuple[Statement, Statement]:
    """What the spectral radius of a step proves where every step is the same matrix."""
    return _radius_vanishing(radius, quantity), _radius_exploding(radius, quantity)


def _conditions(gamma: float, bound: float, *statements: Statement) -> PascanuConditions:
    """The first two statements are those that bind the network at hand."""
    return PascanuConditions(gamma, bound, statements[0].holds, statements[1].holds, statements)


def _below(value: float, threshold: float) -> bool:
    return value < threshold * (1.0 - _ROUNDING)


def _above(value: float, threshold: float) -> bool:
    return value > threshold * (1.0 + _ROUNDING)


def _radius_vanishing(radius: float, quantity: str) -> Statement:
    holds = _below(radius, 1.0)
    if holds:
        proves = "Every gradient vanishes in the limit of many steps."
        does_not_prove = (
            "That gradients shrink from the first step on: if the matrix is non-normal they may grow first."
        )
    else:
        proves = "At least one direction does not vanish, however many steps are taken."
        does_not_prove = "That a given gradient survives: it needs a component along such a direction."
    return Statement("linear_sufficient_for_vanishing", holds, quantity, radius, 1.0, proves, does_not_prove)


def _radius_exploding(radius: float, quantity: str) -> Statement:
    holds = _above(radius, 1.0)
    if holds:
        proves = f"Some direction grows exponentially, by a factor of {radius:.6g} a step in the long run."
        does_not_prove = "That a given gradient explodes: it needs a component along that direction."
    else:
        proves = "No gradient grows exponentially in the limit of many steps."
        does_not_prove = (
            "That no gradient becomes large: if the matrix is non-normal it may amplify one over finitely many"
            " steps."
        )
    return Statement("linear_necessary_for_exploding", holds, quantity, radius, 1.0, proves, does_not_prove)


def _norm_vanishing(norm: float, threshold: float, bound: float) -> Statement:
    holds = _below(norm, threshold)
    if holds:
        proves = f"Every gradient shrinks at every step, at least by the factor {bound:.6g}, at any state."
        does_not_prove = "That this factor is attained: gradients may well vanish sooner."
    else:
        proves = "Nothing: the condition is sufficient for vanishing, not necessary."
        does_not_prove = "That gradients survive: smaller slopes and singular values may still end them."
    return Statement(
        "sufficient_for_vanishing", holds, "spectral_norm", norm, threshold, proves, does_not_prove
    )


def _norm_exploding(norm: float, threshold: float, bound: float) -> Statement:
    holds = _above(norm, threshold)
    if holds:
        proves = f"A gradient may grow in one step, by a factor of at most {bound:.6g}."
        does_not_prove = (
            "That gradients explode: the condition is necessary, not sufficient. A spectral radius below the"
            " threshold would not rule it out either."
        )
    else:
        proves = "No gradient grows at any step, so none explodes, at any state."
        does_not_prove = "That gradients survive: not growing includes vanishing."
    return Statement(
        "necessary_for_exploding", holds, "spectral_norm", norm, threshold, proves, does_not_prove
    )


def _delayed_vanishing(gain: float, delay: int) -> Statement:
    holds = _below(gain, 1.0)
    if holds:
        proves = (
            f"Every gradient vanishes, at any state: in {delay} steps the largest change to a remembered state"
            f" shrinks at least by the factor {gain:.6g}."
        )
        does_not_prove = "That gradients shrink at every step: a remembered state is passed on as it is."
    else:
        proves = "Nothing: the condition is sufficient for vanishing, not necessary."
        does_not_prove = "That gradients survive: smaller slopes and singular values may still end them."
    return Statement(
        "sufficient_for_vanishing", holds, "recurrent_plus_skip_norm", gain, 1.0, proves, does_not_prove
    )


def _delayed_exploding(gain: float, bound: float, delay: int) -> Statement:
    holds = _above(gain, 1.0)
    if holds:
        proves = f"A gradient may grow without bound, by a factor of at most {bound:.6g} a step."
        does_not_prove = "That gradients explode: the condition is necessary, not sufficient."
    else:
        proves = (
            f"No gradient ever exceeds {delay**0.5:.6g} times its size, the root of the delay, so none explodes, at any"
            " state."
        )
        does_not_prove = "That gradients survive: not growing includes vanishing."
    return Statement(
        "necessary_for_exploding", holds, "recurrent_plus_skip_norm", gain, 1.0, proves, does_not_prove
    )
