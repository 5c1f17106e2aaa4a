"""The product of factors some of which are singular: the directions that survive, and how they grow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._types import Array
from .compression import Compression, compressed, rounding_errors
from .factors import Factors
from .graded import GradedRows, premultiplied

# Steps whose cores are multiplied before they are regraded, and how many nats their pivots may then span.
_BLOCK = 32
_WIDEST_SPREAD = 300.0


def ranked_product(factors: Factors, start: Array, units: Array) -> GradedRows:
    """J_T .. J_1 F_0 of one sequence without what some factor annihilates: a stack (1, rank, N).

    The columns of the frames are carried in given units (N,): other units, other rounding errors.
    """
    N = factors.size
    graded = GradedRows(np.zeros((1, N)), np.eye(N)[None])
    frame, pending = start, _Pending()
    for step in range(factors.steps):
        frame = frame * units[: frame.shape[1]]
        images = factors.times(step, frame[None])[0]
        kept = compressed(images, rounding_errors(factors.dense(step)[0], frame, N))
        kept = replace(kept, core=kept.core / units[: frame.shape[1]])
        if pending.spread + kept.spread > _WIDEST_SPREAD or pending.count == _BLOCK:
            graded, pending = pending.absorbed(graded), _Pending()
        frame, pending = kept.frame, pending.followed_by(kept)
        if frame.shape[1] == 0:
            return GradedRows(np.zeros((1, 0)), np.zeros((1, 0, N)))
    graded = pending.absorbed(graded)
    return premultiplied(np.asarray(np.linalg.qr(frame, mode="r"))[None], graded)


@dataclass(frozen=True, eq=False)
class _Pending:
    """The product of the latest cores, exp(log_scale) * core, not yet regraded."""

    core: Array | None = None
    log_scale: float = 0.0
    spread: float = 0.0
    count: int = 0

    def followed_by(self, kept: Compression) -> _Pending:
        if (
            self.core is None
        ):  # as it is: a single core may span more than what division by its peak would leave
            return _Pending(kept.core, 0.0, kept.spread, 1)
        peak = float(np.abs(kept.core).max(initial=0.0)) or 1.0
        core, log_scale = (kept.core / peak) @ self.core, self.log_scale + float(np.log(peak))
        return _Pending(core, log_scale, self.spread + kept.spread, self.count + 1)

    def absorbed(self, graded: GradedRows) -> GradedRows:
        if self.core is None:
            return graded
        regraded = premultiplied(self.core[None], graded)
        return GradedRows(regraded.log_scales + self.log_scale, regraded.rows)
