"""Series of log magnitudes over a batch, as reports show them: decades, median and quantiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..horizon import LN10
from ..statistics import median, quantile, root_sum_of_squares


@dataclass(frozen=True, eq=False)
class BatchSeries:
    """log10 over a batch: median, 10 % and 90 % quantiles, and the norm of the whole batch; (L,) each."""

    log10_norm: Array
    log10_q10: Array
    log10_q90: Array
    log10_batch_norm: Array


def batch_series(log_norms: Array) -> BatchSeries:
    """Summarise natural log norms (L, B)."""
    return BatchSeries(
        median(log_norms) / LN10,
        quantile(log_norms, 0.1) / LN10,
        quantile(log_norms, 0.9) / LN10,
        root_sum_of_squares(log_norms) / LN10,
    )


def reported_lags(lags: Array | None, depth: int, max_points: int) -> Array:
    """The lags of a report: those asked for that exist, else a grid of at most max_points."""
    from ..grid import thinned

    return thinned(depth, max_points) if lags is None else np.asarray(lags[lags <= depth])
