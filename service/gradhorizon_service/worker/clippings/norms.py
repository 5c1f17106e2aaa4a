"""What clipping policies would have made of a history of norms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..clipping import ClippingPolicy, clip_norms
from ..norm_history import Event, times


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


def clipped_history(policy: ClippingPolicy, norms: Array, shown: Array, dtype: str) -> ClippedHistory:
    """What a policy makes of each norm (T,) in the training dtype, with its series at the steps `shown`."""
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
        _says(clipped, len(norms), mean, kept, events),
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
    summed = policy.summed_in(dtype)
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


def _says(clipped: int, count: int, mean: float | None, kept: float | None, events: list[Event]) -> str:
    said = f"steps in at {clipped} of {times(count, 'step')} ({100.0 * clipped / count:.3g} %)"
    if mean is not None and kept is not None:
        said += f"; updates keep {100.0 * kept:.3g} % of their length, the mean factor is {mean:.3g}"
    odd = [f"{event.kind.replace('_', ' ')} at {times(event.count, 'step')}" for event in events]
    return "; ".join([said, *odd])
