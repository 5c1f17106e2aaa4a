"""Every singular value of the whole transport, as logarithms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..horizon import LN10
from ..runs import Run
from ..statistics import median


@dataclass(frozen=True, eq=False)
class SingularValues:
    """log10 sigma_i, descending, the median over the batch per index; `count` is their number before `leading`."""

    log10: Array
    count: int
    reliable: bool
    reliable_reason: str | None
    check: str
    log10_determinant_gap: float | None


def singular_values(run: Run) -> SingularValues:
    """Report all or the leading ones, with the check behind them."""
    found = run.singular_values()
    run.algorithms["singular_values"] = found.algorithm
    values = median(found.log_values, axis=0) / LN10
    reliable, reason, count = bool(np.all(found.reliable)), found.reason, len(values)
    if not reliable:
        # Where a value is not known, null would say that it is exactly zero.
        values = values[np.isfinite(values)]
        if len(values) < count:
            reason = f"{reason}; {count - len(values)} of the {count} values are not given, since they are not known"
    gap = float(np.max(found.log_determinant_gap, initial=0.0)) / LN10
    return SingularValues(
        values[: run.problem.leading],
        count,
        reliable,
        reason,
        "sum of log singular values against log |det| of the factors, by an independent factorisation",
        gap if np.isfinite(gap) else None,
    )
