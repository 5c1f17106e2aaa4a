"""How far back the gradient reaches in the formats people train in, and the loss scale that takes it furthest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..grid import thinned
from ..horizon import median_log_norms
from ..precision import PRECISIONS, Precision
from ..runs import Run
from .gradient_norms import roundoff

_LN2 = math.log(2.0)
_SLACK = 1e-9
"""Nats. Half the smallest subnormal number rounds to zero (a tie, to even); rounding here must not say otherwise."""

_SAMPLES = 256
_GUESSES = 8
"""Loss scales tried at once: the one that the sampled lags allow, and smaller ones should a lag between overflow."""


@dataclass(frozen=True)
class FormatReach:
    """First lags at which the gradient, rounded to one format, is subnormal (or zero), zero and infinite.

    None for never up to the depth. `log2_loss_scale`, and the first lags with it, where a loss scale changes them.
    """

    first_subnormal_lag: int | None
    first_zero_lag: int | None
    first_infinite_lag: int | None
    log2_loss_scale: int | None
    loss_scale_reason: str | None
    scaled_first_subnormal_lag: int | None
    scaled_first_zero_lag: int | None


@dataclass(frozen=True)
class PrecisionReach:
    """The reach in each format, and a sentence about the one that the request trains in."""

    float16: FormatReach
    bfloat16: FormatReach
    float32: FormatReach
    float64: FormatReach
    reliable: bool
    reliable_reason: str | None
    says: str

    @property
    def formats(self) -> dict[str, FormatReach]:
        """The reach by the name of the format."""
        return {name: getattr(self, name) for name in PRECISIONS}


def precision(run: Run) -> PrecisionReach:
    """Round the exact gradient to each format: where it becomes subnormal, zero, infinite, and what a scale changes.

    The gradient is that of the last step's loss, its size the norm in the median sequence: once it rounds to zero, so
    does every entry; where it rounds to infinity, a norm computed in this format does.
    """
    reached, certain = _reached(run, dict.fromkeys(PRECISIONS, 0))
    in_need = [
        name for name, first in reached.items() if first.infinite is not None or first.subnormal is not None
    ]
    scales, scaled, certain_too = _largest_scales(run, in_need)
    formats = {
        name: _with_scale(name, first, scales.get(name), scaled.get(name), run.depth)
        for name, first in reached.items()
    }
    reason = roundoff(run)
    if not (certain and certain_too):
        reason = "lags between those that were looked at may come first: bounds could not exclude them"
    named = run.problem.dtype
    return PrecisionReach(
        **formats,
        reliable=reason is None,
        reliable_reason=reason,
        says=_says(named, formats[named], run.depth),
    )


@dataclass(frozen=True)
class _First:
    """First lags in one format, and how many of the loss scales 2^s, 2^(s-1), ... overflow at some lag."""

    subnormal: int | None
    zero: int | None
    infinite: int | None
    overflowing: int

    @property
    def reach(self) -> tuple[float, float]:
        """The first lag at which nothing is left, then the first that has lost digits."""
        gone = min((lag for lag in (self.zero, self.infinite) if lag is not None), default=math.inf)
        return gone, math.inf if self.subnormal is None else self.subnormal


def _reached(run: Run, scales: Mapping[str, int]) -> tuple[dict[str, _First], bool]:
    """First lags by format with a loss scale 2^s for each, and whether they are certain."""
    below: list[float] = []
    above: list[float] = []
    for name, log2_scale in scales.items():
        format_, shift = PRECISIONS[name], log2_scale * _LN2
        below += [format_.log_subnormal - _SLACK - shift, format_.log_zero + _SLACK - shift]
        above += [format_.log_infinite - _SLACK - shift + guess * _LN2 for guess in range(_GUESSES)]
    found = run.passages(below, above)
    reached: dict[str, _First] = {}
    for i, name in enumerate(scales):
        subnormal, zero = found.below[2 * i : 2 * i + 2]
        tried = found.above[_GUESSES * i : _GUESSES * (i + 1)]
        reached[name] = _First(subnormal, zero, tried[0], sum(step is not None for step in tried))
    return reached, found.certain


def _largest_scales(run: Run, names: Sequence[str]) -> tuple[dict[str, int], dict[str, _First], bool]:
    """The exponent of the largest loss scale with which no lag overflows, and what is reached with it.

    The largest of some sampled lags says which; all the others are then checked without looking at each. A format is
    left out where the scale would be below its smallest number.
    """
    if not names:
        return {}, {}, True
    sampled = median_log_norms(run.transported_log_norms(thinned(run.depth, _SAMPLES)))
    scales = {name: _largest_scale(PRECISIONS[name], float(np.max(sampled))) for name in names}
    while True:
        scales = {name: scale for name, scale in scales.items() if scale >= _loss_format(name).lowest}
        reached, certain = _reached(run, scales)
        if not any(first.overflowing for first in reached.values()):
            return scales, reached, certain
        scales = {name: scale - reached[name].overflowing for name, scale in scales.items()}


def _largest_scale(format_: Precision, log_norm: float) -> int:
    """The largest s with which 2^s times this norm is finite, 2^s itself a number of the loss's format."""
    largest = 1 - _loss_format(format_.name).lowest
    if log_norm == -math.inf:
        return largest
    return min(largest, math.ceil((format_.log_infinite - _SLACK - log_norm) / _LN2) - 1)


def _loss_format(name: str) -> Precision:
    """Losses of networks in 16 bits are computed, and scaled, in float32."""
    return PRECISIONS["float64" if name == "float64" else "float32"]


def _with_scale(
    name: str, first: _First, scale: int | None, scaled: _First | None, depth: int
) -> FormatReach:
    reason = None
    if first.subnormal is None and first.infinite is None:
        reason = f"none is needed: every lag up to {depth} is a normal number of {name}"
    elif scaled is None or scaled.reach <= first.reach:
        reason = f"none helps: {_why_not(name, first)}"
    if scaled is None or reason is not None:
        return FormatReach(first.subnormal, first.zero, first.infinite, None, reason, None, None)
    return FormatReach(
        first.subnormal, first.zero, first.infinite, scale, None, scaled.subnormal, scaled.zero
    )


def _why_not(name: str, first: _First) -> str:
    if first.infinite is not None:
        return f"from its largest lag to its smallest the gradient spans more than {name} holds"
    if first.subnormal == first.zero:
        return f"a single step leaves nothing of the gradient at lag {first.zero}"
    return f"the largest one under which no lag of {name} overflows moves no lag"


def _says(name: str, reach: FormatReach, depth: int) -> str:
    events = {
        "becomes subnormal": reach.first_subnormal_lag
        if reach.first_subnormal_lag != reach.first_zero_lag
        else None,
        "rounds to zero": reach.first_zero_lag,
        "overflows": reach.first_infinite_lag,
    }
    told = [f"{what} at lag {lag}" for what, lag in events.items() if lag is not None]
    if not told:
        return f"in {name} this gradient is a normal number at every lag up to {depth}"
    sentence = f"in {name} this gradient {' and '.join(told)}"
    if reach.log2_loss_scale is None:
        return f"{sentence}; of loss scales {reach.loss_scale_reason}"
    return f"{sentence}; {_says_scaled(reach, depth)}"


def _says_scaled(reach: FormatReach, depth: int) -> str:
    scale = f"with a loss scale of 2^{reach.log2_loss_scale}"
    if reach.scaled_first_zero_lag is not None:
        return f"{scale} nothing overflows, and it rounds to zero at lag {reach.scaled_first_zero_lag}"
    if reach.scaled_first_subnormal_lag is not None:
        return (
            f"{scale} nothing overflows, and it becomes subnormal at lag {reach.scaled_first_subnormal_lag}"
        )
    return f"{scale} it is a normal number at every lag up to {depth}"
