"""Which clipping threshold to use, from the distribution of gradient norms.

Clipping is there for the tail: a threshold below the bulk of the norms only rescales the learning rate. The threshold
proposed is the smallest of the 99 % quantile, the fence beyond which norms are outliers (3.5 robust standard deviations
above the median, in decades) and ten times the median; the latter two only while they cut no more than a tenth of the
steps, since what they cut is no tail otherwise. Of a few norms it is ten times the median. Pascanu, Mikolov and
Bengio (2013, section 3.2) found training to work from half to ten times the average norm; the average here is the
median, which explosions do not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import numpy as np

from ._types import Array
from .norm_history import MAD_TO_STANDARD_DEVIATION, OUTLIER_DEVIATIONS, drift, robust_spread, times
from .statistics import median

LOWEST_MULTIPLE, HIGHEST_MULTIPLE = 0.5, 10.0
LARGEST_TAIL = 0.1
"""Share of the steps above which what a threshold cuts is no tail."""
FEWEST_FOR_A_TAIL = 20
"""Of fewer norms a single one is more than a twentieth: no quantile tells the tail from the bulk."""
_CONSTANT = 1.01  # largest over smallest norm of a history without a tail
_STRONG_DRIFT = 0.5
_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_MULTIPLES = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Candidate:
    """A threshold and what it would have done to the finite norms of the history."""

    threshold: float
    basis: str
    share_clipped: float
    mean_factor: float


@dataclass(frozen=True, eq=False)
class ThresholdAdvice:
    """The threshold proposed, by which rule, and what it would have done; the range that is known to work."""

    threshold: float | None
    threshold_reason: str | None
    rule: str | None
    share_clipped: float | None
    mean_factor: float | None
    lowest: float | None
    highest: float | None
    range_reason: str | None
    candidates: list[Candidate]
    says: str


def advise(norms: Array) -> ThresholdAdvice:
    """Advice from a history (T,) of norms, which may hold zeros, infinities and NaN."""
    finite = norms[np.isfinite(norms)]
    positive = finite[finite > 0.0]
    if len(positive) < 2:
        return _without_distribution(positive, len(norms))
    rule, threshold = _rule(finite, positive)
    threshold = ceiling(threshold)
    chosen = _candidate(threshold, rule, finite)
    lowest, highest, reason = working_range(float(np.quantile(positive, 0.5)))
    return ThresholdAdvice(
        threshold,
        None,
        rule,
        chosen.share_clipped,
        chosen.mean_factor,
        lowest,
        highest,
        reason,
        _candidates(finite, positive),
        _says(chosen, norms, finite, positive),
    )


def working_range(typical: float) -> tuple[float | None, float | None, str | None]:
    """Half to ten times the typical norm (Pascanu et al. 2013), or why there is none."""
    lowest, highest = LOWEST_MULTIPLE * typical, HIGHEST_MULTIPLE * typical
    if lowest == 0.0 or not np.isfinite(highest):
        return None, None, "half to ten times the typical norm leaves float64"
    return lowest, highest, None


def ceiling(value: float, digits: int = 3) -> float:
    """Round up to a few significant digits: a threshold one can type, which clips nothing that the exact one spares."""
    exact = Decimal(value)
    rounded = float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=ROUND_CEILING))
    return rounded if np.isfinite(rounded) else value


def _without_distribution(positive: Array, count: int) -> ThresholdAdvice:
    if len(positive) == 0:
        reason = "no norm is a float64 above zero, so there is no scale to set a threshold by"
        return ThresholdAdvice(None, reason, None, None, None, None, None, reason, [], reason)
    norm = float(positive[0])
    lowest, highest, range_reason = working_range(norm)
    reason = "one norm says nothing about a distribution; send the norms of many steps as `norms`"
    known = (
        f"{range_reason}"
        if lowest is None
        else f"half to ten times this norm, {lowest:.3g} to {highest:.3g}, is where Pascanu et al. (2013) saw training "
        "work, if this gradient is typical"
    )
    only = "one norm" if count == 1 else f"one usable norm of {count}"
    return ThresholdAdvice(
        None,
        reason,
        None,
        None,
        None,
        lowest,
        highest,
        range_reason,
        [],
        f"{only} is no distribution: {known}",
    )


def _rule(finite: Array, positive: Array) -> tuple[str, float]:
    typical = float(np.quantile(positive, 0.5))
    if positive.max() / _CONSTANT <= positive.min():
        return "no_tail", min(HIGHEST_MULTIPLE * typical, np.finfo(np.float64).max)
    logs = np.log(positive)
    spread = robust_spread(logs)
    with np.errstate(over="ignore"):
        limits: Mapping[str, float] = {
            "outlier_fence": float(np.exp(median(logs) + OUTLIER_DEVIATIONS * spread)) if spread else np.inf,
            "ten_medians": HIGHEST_MULTIPLE * typical,
        }
    tails = {name: limit for name, limit in limits.items() if np.mean(finite > limit) <= LARGEST_TAIL}
    if len(finite) < FEWEST_FOR_A_TAIL:
        return "ten_medians", min(HIGHEST_MULTIPLE * typical, np.finfo(np.float64).max)
    rules = {"quantile_99": float(np.quantile(positive, 0.99)), **tails}
    return min(rules.items(), key=lambda item: item[1])


def _candidate(threshold: float, basis: str, finite: Array) -> Candidate:
    with np.errstate(divide="ignore", over="ignore"):
        factors = np.minimum(1.0, threshold / finite)
    return Candidate(threshold, basis, float(np.mean(finite > threshold)), float(np.mean(factors)))


def _candidates(finite: Array, positive: Array) -> list[Candidate]:
    thresholds = {f"quantile {q:g}": float(np.quantile(positive, q)) for q in _QUANTILES}
    typical = float(np.quantile(positive, 0.5))
    thresholds |= {
        f"{multiple:g} times the median": multiple * typical for multiple in _MULTIPLES if multiple != 1.0
    }
    found = [
        _candidate(threshold, basis, finite)
        for basis, threshold in thresholds.items()
        if np.isfinite(threshold) and threshold > 0.0
    ]
    return sorted(found, key=lambda candidate: candidate.threshold)


_BECAUSE: Mapping[str, str] = {
    "quantile_99": "the 99 % quantile of the norms: it cuts the tail and leaves the bulk alone",
    "outlier_fence": (
        f"the fence {OUTLIER_DEVIATIONS:g} robust standard deviations ({MAD_TO_STANDARD_DEVIATION:g} times the median "
        "absolute deviation, in decades) above the median: what lies beyond is no part of the bulk"
    ),
    "ten_medians": (
        "ten times the median, the upper end of where Pascanu et al. (2013) saw training work: the tail is so heavy "
        "that its own quantiles lie higher"
    ),
    "no_tail": (
        "ten times the norm: these norms hardly vary, so there is no tail to cut, and a threshold is a safety net only"
    ),
}


def _says(chosen: Candidate, norms: Array, finite: Array, positive: Array) -> str:
    said = [
        f"clip at {chosen.threshold:.3g}, {_BECAUSE[chosen.basis]}",
        f"it would have clipped {100.0 * chosen.share_clipped:.3g} % of the steps",
    ]
    if len(positive) < 100:
        said.append(f"{times(len(positive), 'norm')} say little about a tail of one in a hundred")
    if len(finite) < len(norms):
        said.append(
            f"{len(norms) - len(finite)} of {times(len(norms), 'norm')} not finite, and no threshold repairs that: "
            "look for what overflows, or skip such steps"
        )
    shift = drift(finite)
    if isinstance(shift, float) and abs(shift) >= _STRONG_DRIFT:
        said.append(
            f"the norms drift by {shift:+.2g} decades over the history: judge by the part that training is in now"
        )
    return "; ".join(said)
