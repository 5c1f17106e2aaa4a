"""How large the state is, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..runs import Run
from ._series import batch_series, reported_lags

SMALL_ENTRIES = 1024
"""Arrays up to this many numbers are reported without being asked for."""


@dataclass(frozen=True, eq=False)
class StateNorms:
    """log10 ||s_t|| by step t, and the last state while it is small or asked for."""

    step: Array
    log10_norm: Array
    log10_q10: Array
    log10_q90: Array
    final_state: Array | None
    final_state_reason: str | None


def state_norms(run: Run) -> StateNorms:
    """Report steps that mirror the reported lags, so that the grid is dense near the loss."""
    lags = reported_lags(run.problem.lags, run.depth, run.problem.max_points)
    steps = np.unique(run.depth - lags)
    series = batch_series(run.state_log_norms(steps))
    final, reason = _final_state(run)
    return StateNorms(steps, series.log10_norm, series.log10_q10, series.log10_q90, final, reason)


def _final_state(run: Run) -> tuple[Array | None, str | None]:
    entries = run.initial_state.size
    if entries > SMALL_ENTRIES and "final_state" not in run.problem.include:
        return (
            None,
            f'it has {entries} numbers, more than {SMALL_ENTRIES}; ask for it with include: ["final_state"]',
        )
    final = run.final_state()
    return final, "it is too large for float64; its norm is in log10_norm" if final is None else None
