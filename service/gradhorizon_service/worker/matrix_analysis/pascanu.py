"""What the norms of a recurrent matrix prove about its gradients, and what they are wrongly quoted for."""

from __future__ import annotations

from dataclasses import dataclass

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

    `gamma` is the activation's largest slope and `one_step_norm_bound` = gamma sigma_max, which no Jacobian
    diag(phi') W exceeds in norm. For a linear network the conditions are those on the spectral radius.
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
    statements = (
        *((_radius_vanishing(spectral_radius), _radius_exploding(spectral_radius)) if linear else ()),
        _norm_vanishing(spectral_norm, 1.0 / gamma, bound),
        _norm_exploding(spectral_norm, 1.0 / gamma, bound),
    )
    return PascanuConditions(gamma, bound, statements[0].holds, statements[1].holds, statements)


def _below(value: float, threshold: float) -> bool:
    return value < threshold * (1.0 - _ROUNDING)


def _above(value: float, threshold: float) -> bool:
    return value > threshold * (1.0 + _ROUNDING)


def _radius_vanishing(radius: float) -> Statement:
    holds = _below(radius, 1.0)
    if holds:
        proves = "Every gradient vanishes in the limit of many steps."
        does_not_prove = (
            "That gradients shrink from the first step on: if W is non-normal they may grow first."
        )
    else:
        proves = "At least one direction does not vanish, however many steps are taken."
        does_not_prove = "That a given gradient survives: it needs a component along such a direction."
    return Statement(
        "linear_sufficient_for_vanishing", holds, "spectral_radius", radius, 1.0, proves, does_not_prove
    )


def _radius_exploding(radius: float) -> Statement:
    holds = _above(radius, 1.0)
    if holds:
        proves = f"Some direction grows exponentially, by a factor of {radius:.6g} a step in the long run."
        does_not_prove = "That a given gradient explodes: it needs a component along that direction."
    else:
        proves = "No gradient grows exponentially in the limit of many steps."
        does_not_prove = (
            "That no gradient becomes large: if W is non-normal it may amplify one over finitely many steps."
        )
    return Statement(
        "linear_necessary_for_exploding", holds, "spectral_radius", radius, 1.0, proves, does_not_prove
    )


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
