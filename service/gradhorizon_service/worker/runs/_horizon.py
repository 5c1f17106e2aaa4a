"""The horizon of a run, at every level that a report names."""

from __future__ import annotations

import numpy as np

from ..horizon import LEVELS, Horizon, assemble, level_nats, median_change, undefined
from ._run import Run


def horizon_of(run: Run, clipped: bool = False) -> Horizon:
    """Find the horizon of the transported gradient over all lags; sequences without a gradient are left out.

    `clipped`: with every entry of the state gradient cut at every step, where the policy is per_step.
    """
    level = run.problem.horizon_level
    start = run.transported_log_norms(np.array([0]))[0]
    silent = int(np.isneginf(start).sum())
    if silent:
        run.warnings.append(
            f"the gradient of the loss is exactly zero at lag 0 for {silent} of {len(start)} sequences; "
            "they are left out of the horizon"
        )
    if silent == len(start):
        return undefined(level)
    crossings = {level: run.crossing(level_nats(level), clipped=clipped)}
    steps = crossings[level].first
    for other in sorted({*LEVELS} - {level}):  # from the farthest in: each first passage bounds the next one
        passed = [
            found.first for deeper, found in crossings.items() if deeper < other and found.first is not None
        ]
        crossings[other] = run.crossing(level_nats(other), min(passed, default=None), clipped)
    end = run.depth if steps is None else steps
    change = median_change(run.transported_log_norms(np.array([0, end]), clipped))[1]
    return assemble(level, run.depth, crossings, float(change))
