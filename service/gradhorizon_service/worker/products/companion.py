"""Step Jacobians of recurrences that look back d steps: one row of blocks computes, the others pass on."""

from __future__ import annotations

import numpy as np

from .._types import Array
from .factors import Repeated, RowScaled


class Companion:
    """J_t = [[D_t W, 0, .., 0, V_t], [I, 0, .., 0], .., [0, .., I, 0]] with D_t = diag(d_t), d blocks a side, d >= 2.

    V_t is D_t V where the delayed state enters `inside` the activation, else V. W and V are (N, N), slopes d of shape
    (T, B, N). Products cost two of N x N matrices, whatever d is.
    """

    def __init__(self, matrix: Array, delayed: Array, slopes: Array, delay: int, inside: bool) -> None:
        self.matrix, self.delayed = matrix, delayed
        self.slopes = slopes
        self.inside = inside
        self.steps, self.batch, self._block = slopes.shape
        self.size = delay * self._block

    @property
    def corner(self) -> RowScaled | Repeated:
        """The factors V_t, with the absolute determinants of J_t."""
        return RowScaled(self.delayed, self.slopes) if self.inside else Repeated(self.delayed, self.steps)

    def times(self, step: int, frames: Array) -> Array:
        N, slopes = self._block, self.slopes[step][:, :, None]
        current, delayed = self.matrix @ frames[:, :N], self.delayed @ frames[:, -N:]
        first = slopes * (current + delayed) if self.inside else slopes * current + delayed
        passed_on = np.broadcast_to(frames[:, :-N], (len(first), self.size - N, frames.shape[2]))
        return np.concatenate([first, passed_on], axis=1)

    def transpose_times(self, step: int, frames: Array) -> Array:
        N, first = self._block, frames[:, : self._block]
        scaled = self.slopes[step][:, :, None] * first
        product = np.zeros((len(scaled), self.size, frames.shape[2]))
        product[:, :-N] = frames[:, N:]
        product[:, :N] += self.matrix.T @ scaled
        product[:, -N:] += self.delayed.T @ (scaled if self.inside else first)
        return product

    def dense(self, step: int) -> Array:
        N, slopes = self._block, self.slopes[step][:, :, None]
        matrices = np.tile(np.eye(self.size, k=-N), (self.batch, 1, 1))
        matrices[:, :N, :N] = slopes * self.matrix
        matrices[:, :N, -N:] = slopes * self.delayed if self.inside else self.delayed
        return matrices
