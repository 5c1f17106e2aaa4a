"""How large the gradient is, lag by lag."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..horizon import LN10
from ..runs import DecaysTransport, DiagonalTransport, PowersRun, Run
from ._series import BatchSeries, batch_series, reported_lags

_ROUNDOFF_DECADES = 15.0


@dataclass(frozen=True, eq=False)
class GradientNorms:
    """log10 ||dL/ds_{T-k}|| by lag k; `parts` by the names of what the state holds."""

    lag: Array
    log10_norm: Array
    log10_q10: Array
    log10_q90: Array
    log10_batch_norm: Array
    parts: dict[str, BatchSeries] | None
    reliable: bool
    reliable_reason: str | None


def gradient_norms(run: Run) -> GradientNorms:
    """Report the gradient of the loss as asked, median and quantiles over the batch."""
    lags = reported_lags(run.problem.lags, run.depth, run.problem.max_points)
    series = batch_series(run.gradient_log_norms(lags))
    parts = None
    if run.parts is not None:
        parts = {name: batch_series(run.gradient_log_norms(lags, part)) for name, part in run.parts.items()}
    reason = roundoff(run)
    return GradientNorms(
        lags,
        series.log10_norm,
        series.log10_q10,
        series.log10_q90,
        series.log10_batch_norm,
        parts,
        reason is None,
        reason,
    )


def roundoff(run: Run) -> str | None:
    """A gradient 15 decades below what the transport could do is rounding error of a mode it was orthogonal to.

    Not so where modes never mix, for then no rounding reaches another one.
    """
    if isinstance(run, DiagonalTransport | DecaysTransport):
        return None
    if isinstance(run, PowersRun) and not run.is_resolved:
        return (
            "W is so far from normal that its powers span more than float64 holds: entries that underflow beside the "
            "largest may have decided these norms"
        )
    start, end = run.transported_log_norms(np.array([0, run.depth]))
    largest = run.transport_peak.log_norm
    comparable = np.isfinite(start) & np.isfinite(end) & np.isfinite(largest)
    gap = (
        np.where(comparable, largest, 0.0) - np.where(comparable, end, 0.0) + np.where(comparable, start, 0.0)
    )
    gap = gap / LN10
    lost = comparable & (gap > _ROUNDOFF_DECADES)
    if not lost.any():
        return None
    return (
        f"at lag {run.depth} the gradient lies {float(np.max(gap[lost])):.0f} decades below the largest the transport "
        "can carry: it started orthogonal to growing directions, and rounding re-excites those"
    )
