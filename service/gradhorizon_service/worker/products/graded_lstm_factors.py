"""The Jacobians of an LSTM in coordinates where a closed output gate hides nothing.

In J_t the rows of h are C_o W_o + R K: where the output gate is saturated, C_o W_o drowns in the rounding of R K, and
with it everything that only h carries. Taking R times the rows of c from them, T_t = [[I, R], [0, I]], gives

    J_t = T_t M_t,  M_t = [[C_o W_o, 0], [K, F]],   J_T .. J_1 = T_T (M_T T_{T-1}) .. (M_2 T_1) M_1,

factors that keep both apart, for as many operations. With a projection, C_o W_o and R have it on their left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from .factors import product

if TYPE_CHECKING:
    from .lstm_factors import LstmFactors


class GradedLstmFactors:
    """M_t T_{t-1} for every step, and where the chain is `closed`, T_T as one more."""

    def __init__(self, factors: LstmFactors, *, closed: bool) -> None:
        self._factors = factors
        self._closed = closed
        self.steps = factors.steps + closed
        self.batch, self.size = factors.batch, factors.size

    def sequence(self, index: int) -> GradedLstmFactors:
        """The factors of one sequence of the batch."""
        return GradedLstmFactors(self._factors.sequence(index), closed=self._closed)

    def in_state_coordinates(self, step: int, frames: Array) -> Array:
        """T_t F for frames that have come through so many steps."""
        P, images = self._factors.outputs, frames.copy()
        if step > 0:
            images[:, :P] += self._factors.leaked(step - 1, frames[:, P:])
        return images

    def times(self, step: int, frames: Array) -> Array:
        F, P = self._factors, self._factors.outputs
        if step == F.steps:
            return self.in_state_coordinates(step, frames)
        h = frames[:, :P]
        if step > 0:
            h = F.leaked(step - 1, frames[:, P:])
            h += frames[:, :P]
        images = product(self._core(step).swapaxes(1, 2), h)
        images[:, P:] += F.kept(step)[:, :, None] * frames[:, P:]
        return images

    def transpose_times(self, step: int, frames: Array) -> Array:
        F, P = self._factors, self._factors.outputs
        if step == F.steps:
            images = frames.copy()
            images[:, P:] += F.leaked_back(step - 1, frames[:, :P])
            return images
        images = np.empty_like(frames)
        np.multiply(F.kept(step)[:, :, None], frames[:, P:], out=images[:, P:])
        images[:, :P] = self._core(step) @ frames
        if step > 0:
            images[:, P:] += F.leaked_back(step - 1, images[:, :P])
        return images

    def dense(self, step: int) -> Array:
        """Built by columns, the order in memory that LAPACK works in."""
        F, P, N = self._factors, self._factors.outputs, self.size
        if step == F.steps:
            return self.in_state_coordinates(step, np.tile(np.eye(N), (self.batch, 1, 1)))
        transposed = np.empty((self.batch, N, N))
        core = F.core_by_columns(step, out=transposed[:, :P])
        if step == 0:
            transposed[:, P:] = 0.0
        else:
            F.leaked_back(step - 1, core, out=transposed[:, P:])
        np.einsum("bii->bi", transposed)[:, P:] += F.kept(step)
        return transposed.swapaxes(1, 2)

    def log_abs_dets(self) -> Array:
        """ln abs det, (steps, B); T has determinant one."""
        return np.pad(self._factors.log_abs_dets(), ((0, int(self._closed)), (0, 0)))

    def _core(self, step: int) -> Array:
        F = self._factors
        return F.core_by_columns(step, out=np.empty((self.batch, F.outputs, self.size)))
