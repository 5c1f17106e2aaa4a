"""A rectangular chain as square factors, padded with zeros: norms of partial products are unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array


class PaddedFactors:
    """Jacobians (N_t, N_{t-1}) or (B, N_t, N_{t-1}), each in the corner of a square of the largest size."""

    def __init__(self, jacobians: Sequence[Array]) -> None:
        self._jacobians = jacobians
        self.steps = len(jacobians)
        self.size = max(max(J.shape[-2:]) for J in jacobians)
        self.batch = max(len(J) if J.ndim == 3 else 1 for J in jacobians)

    def times(self, step: int, frames: Array) -> Array:
        return np.asarray(self.dense(step) @ frames)

    def transpose_times(self, step: int, frames: Array) -> Array:
        return np.asarray(self.dense(step).swapaxes(-1, -2) @ frames)

    def dense(self, step: int) -> Array:
        J = self._jacobians[step]
        padded = np.zeros((self.batch, self.size, self.size))
        padded[:, : J.shape[-2], : J.shape[-1]] = J
        return padded
