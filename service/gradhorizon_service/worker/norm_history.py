"""A history of gradient norms: how they are distributed, how heavy their tail is, and which steps stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._types import Array
from .grid import thinned_evenly
from .horizon import LN10
from .statistics import median

MAD_TO_STANDARD_DEVIATION = 1.4826
"""1 / Phi^-1(3/4): the median absolute deviation of a normal distribution is its standard deviation over this."""
OUTLIER_DEVIATIONS = 3.5
"""Robust standard deviations above the median from which on a norm is an outlier (Iglewicz and Hoaglin 1993)."""
SHOWN_STEPS = 100
"""Steps listed of an event; its count is of all of them."""
_LEAST_FOR_A_TAIL = 100
_TAIL_SHARE = 0.05
_NO_SCALE = "at least half of the norms are alike, which leaves no scale to judge the others by"


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happened at some steps: how often, and the first of them."""

    kind: str
    count: int
    steps: Array
    says: str

    @classmethod
    def at(cls, kind: str, happened: Array, says: str) -> list[Event]:
        """The event of a mask over all steps, none where it never happened."""
        steps = np.flatnonzero(happened)
        return [cls(kind, len(steps), steps[:SHOWN_STEPS], says)] if len(steps) else []


@dataclass(frozen=True, eq=False)
class NormStatistics:
    """Order statistics of the finite norms, zeros lowest; spread, outliers and tail of those above zero.

    Quantiles are NumPy's, interpolated between norms. spread_decades is 1.4826 times the median absolute deviation of
    log10 norms; an outlier lies 3.5 such spreads above the median. tail_index is Hill's estimator (1975) from the
    largest 5 %: P(norm > x) falls as x^-tail_index; below 2 the variance is infinite, below 1 the mean is too.
    drift_decades is the median log10 of the last third less that of the first.
    """

    log10_min: float
    log10_q10: float
    log10_median: float
    log10_mean: float
    log10_q90: float
    log10_q99: float
    log10_max: float
    spread_decades: float | None
    spread_decades_reason: str | None
    outliers: int | None
    outliers_reason: str | None
    tail_index: float | None
    tail_index_error: float | None
    tail_index_reason: str | None
    drift_decades: float | None
    drift_decades_reason: str | None


@dataclass(frozen=True, eq=False)
class NormHistory:
    """How many norms there are, what is odd about them, how they are distributed, and the series of the finite ones."""

    count: int
    finite: int
    statistics: NormStatistics | None
    statistics_reason: str | None
    step: Array
    log10_norm: Array
    events: list[Event]


def describe(norms: Array, max_points: int) -> NormHistory:
    """Describe a history (T,) of norms, which may hold zeros, infinities and NaN."""
    finite = np.isfinite(norms)
    steps = thinned_evenly(np.flatnonzero(finite), max_points)
    statistics = norm_statistics(norms[finite]) if finite.any() else None
    return NormHistory(
        len(norms),
        int(finite.sum()),
        statistics,
        None if statistics is not None else "none of the norms is a finite number",
        steps,
        log10(norms[steps]),
        [
            *Event.at("nan", np.isnan(norms), "the norm is NaN: so was every gradient that went into it"),
            *Event.at(
                "infinite", np.isinf(norms), "the norm is infinite: a gradient or its square overflowed"
            ),
            *Event.at(
                "zero", norms == 0.0, "the norm is zero: no gradient, or one whose squares underflowed"
            ),
        ],
    )


def norm_statistics(norms: Array) -> NormStatistics:
    """Statistics of at least one finite norm."""
    low, q10, middle, q90, q99, high = log10(np.quantile(norms, [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])).tolist()
    decades = log10(norms[norms > 0.0])
    spread = robust_spread(decades) if len(decades) else None
    outliers = int((decades > median(decades) + OUTLIER_DEVIATIONS * spread).sum()) if spread else None
    index, error, no_tail = _told(hill(decades * LN10), 2)
    change, no_change = _told(drift(norms), 1)
    return NormStatistics(
        log10_min=low,
        log10_q10=q10,
        log10_median=middle,
        log10_mean=_log10_mean(norms),
        log10_q90=q90,
        log10_q99=q99,
        log10_max=high,
        spread_decades=spread,
        spread_decades_reason="no norm is above zero" if spread is None else None,
        outliers=outliers,
        outliers_reason=None if spread else _NO_SCALE,
        tail_index=index,
        tail_index_error=error,
        tail_index_reason=no_tail,
        drift_decades=change,
        drift_decades_reason=no_change,
    )


def _told(found: Any, numbers: int) -> tuple[Any, ...]:
    """What was found and no reason, or nothing and the reason."""
    if isinstance(found, str):
        return (*[None] * numbers, found)
    return (*np.atleast_1d(found).tolist(), None)


def robust_spread(values: Array) -> float:
    """1.4826 times the median absolute deviation: the standard deviation of a normal bulk, whatever the outliers."""
    return float(MAD_TO_STANDARD_DEVIATION * median(np.abs(values - median(values))))


def hill(logs: Array) -> tuple[float, float] | str:
    """Tail index and its standard error from ln of positive numbers (Hill 1975), or why there is none.

    alpha = 1 / mean of ln(x_(i) / x_(k+1)) over the k largest; its standard error is alpha / sqrt(k).
    """
    if len(logs) < _LEAST_FOR_A_TAIL:
        return f"{len(logs)} norms above zero are too few to judge a tail by; {_LEAST_FOR_A_TAIL} are needed"
    k = int(np.ceil(_TAIL_SHARE * len(logs)))
    largest = np.sort(logs)[-k - 1 :]
    excess = float(np.mean(largest[1:] - largest[0]))
    if excess < 1e-12:
        return "the largest norms are all alike: there is no tail"
    return 1.0 / excess, 1.0 / (excess * np.sqrt(k))


def log10(values: Array | float) -> Array:
    """log10 with minus infinity for zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log10(values))


def times(count: int, what: str) -> str:
    """A number of things in words: one norm, 3 norms."""
    return f"one {what}" if count == 1 else f"{count} {what}s"


def drift(norms: Array) -> float | str:
    """Median log10 norm of the last third less that of the first, or why there is none."""
    third = len(norms) // 3
    if third < 10:
        return f"{times(len(norms), 'finite norm')} are too few to see a drift in; 30 are needed"
    first, last = log10(np.quantile(norms[:third], 0.5)), log10(np.quantile(norms[-third:], 0.5))
    if not np.isfinite(first) or not np.isfinite(last):
        return "the median norm of the first or of the last third is zero"
    return float(last - first)


def _log10_mean(norms: Array) -> float:
    largest = float(norms.max())
    return float(log10(float(np.mean(norms / largest))) + np.log10(largest)) if largest > 0.0 else -np.inf
