"""Mean-field theory of a wide random network: lengths, correlations, gradients, and the phase it is in.

Layers h' = phi(W h + b), the entries of W independent with variance weight_variance / N, those of b with
bias_variance. Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli (2016); Schoenholz, Gilmer, Ganguli and
Sohl-Dickstein (2017), whose chi_1, xi_q (equation 8) and xi_c (equation 11) are meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..activations import Activation
from .correlations import Undecided
from .fixed_points import CRITICAL, Length, fixed_correlation, fixed_length
from .moments import Moments, moments_of

Phase = Literal["ordered", "critical", "chaotic"]

LARGEST_PARAMETER = 1e50
"""The same for parameters of activations."""
LARGEST_VARIANCE = 1e150
"""Variances are zero or lie between the inverse of this and this: all numbers here then are float64."""


@dataclass(frozen=True)
class MeanField:
    """Where signals and gradients of an infinitely wide network go; None comes with the reason."""

    q_star: float | None
    q_star_reason: str | None
    chi_1: float
    c_star: float | None
    c_star_reason: str | None
    xi_q: float | None
    xi_q_reason: str | None
    xi_c: float | None
    xi_c_reason: str | None
    phase: Phase

    @property
    def growth_rate(self) -> float:
        """ln(chi_1) / 2: nats a step by which the norm of a gradient or of a small perturbation changes."""
        return 0.5 * math.log(self.chi_1)


def mean_field(activation: Activation, weight_variance: float, bias_variance: float) -> MeanField:
    """Solve for the fixed points of the two maps and their rates. weight_variance > 0."""
    moments = moments_of(activation)
    length = fixed_length(moments, weight_variance, bias_variance)
    chi_1 = weight_variance * square_slope_at(moments, length)
    log_chi = math.log(chi_1)
    phase = _phase(log_chi)
    c_star, xi_c = _correlation(moments, length, phase, log_chi, weight_variance, bias_variance)
    xi_q = _length_scale(moments, length, weight_variance)
    return MeanField(
        q_star=length.q,
        q_star_reason=length.reason,
        chi_1=chi_1,
        c_star=c_star.value,
        c_star_reason=c_star.reason,
        xi_q=xi_q.value,
        xi_q_reason=xi_q.reason,
        xi_c=xi_c.value,
        xi_c_reason=xi_c.reason,
        phase=phase,
    )


@dataclass(frozen=True)
class _Number:
    value: float | None
    reason: str | None = None


_LOST = "there is no correlation of signals whose length tends to zero"
_UNBOUNDED = "it is the rate at which lengths settle, and they do not"


def square_slope_at(moments: Moments, length: Length) -> float:
    """E[phi'^2] at q*, or its limit where lengths vanish or grow without bound."""
    if moments.activation.homogeneous or length.q == 0.0:
        return moments.square_slope_at_zero
    if length.q is None:
        return moments.tail
    return float(moments.square_slope(np.array([length.q]))[0])


def _phase(log_chi: float) -> Phase:
    if abs(log_chi) <= CRITICAL:
        return "critical"
    return "chaotic" if log_chi > 0.0 else "ordered"


def _length_scale(moments: Moments, length: Length, weight_variance: float) -> _Number:
    """xi_q = -1 / ln(dq'/dq) at q*."""
    if length.q is None:
        return _Number(None, _UNBOUNDED)
    if moments.activation.homogeneous or length.q == 0.0:
        log_slope = math.log(moments.square_slope_at_zero)
    else:
        log_slope = moments.log_length_slope(length.q)
    return _scale(math.log(weight_variance) + log_slope, "lengths settle more slowly than exponentially")


def _scale(log_rate: float, slower: str) -> _Number:
    if log_rate >= -CRITICAL:
        return _Number(None, f"infinite: {slower}")
    return _Number(-1.0 / log_rate)


def _correlation(
    moments: Moments,
    length: Length,
    phase: Phase,
    log_chi: float,
    weight_variance: float,
    bias_variance: float,
) -> tuple[_Number, _Number]:
    """c* and xi_c = -1 / ln(dc'/dc) there."""
    if moments.activation.homogeneous and bias_variance == 0.0:
        return _correlation_of_directions(moments)
    if length.q is None:
        reason = "correlations have no fixed map while lengths have no fixed value"
        return _Number(None, reason), _Number(None, reason)
    if length.q == 0.0:
        return _Number(None, _LOST), _Number(None, _LOST)
    slower = "correlations settle more slowly than exponentially"
    if phase != "chaotic":
        return _Number(1.0), _scale(log_chi, slower)
    try:
        distance = fixed_correlation(moments, length.q, weight_variance, bias_variance)
        log_slope = moments.log_correlation_slope(length.q, distance) if distance else 0.0
    except Undecided:
        reason = f"the activation bends too sharply beside q_star = {length.q:.3g} to integrate over pairs of signals"
        return _Number(None, reason), _Number(None, reason)
    if distance == 0.0:
        return _Number(1.0), _Number(None, f"infinite: {slower}")
    return _Number(1.0 - distance), _scale(math.log(weight_variance) + log_slope, slower)


def _correlation_of_directions(moments: Moments) -> tuple[_Number, _Number]:
    """Without biases a piecewise linear network maps directions whatever the lengths; C'(1) = 1 then."""
    if moments.odd:
        reason = "a linear network keeps every correlation"
        return _Number(None, reason), _Number(None, reason)
    return _Number(1.0), _Number(None, "infinite: correlations tend to 1 as a power of the depth")
