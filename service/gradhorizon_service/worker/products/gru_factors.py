"""Step Jacobians of a gated recurrent unit as factors: diagonals around products with the weights of its gates."""

from __future__ import annotations

import numpy as np

from .._types import Array

# From so many columns on, adding up the gates' weights first costs less than multiplying with each of them.
_WIDE = 32


class ResetAfterFactors:
    """J_t = C_r W_r + C_z W_z + C_q W_n + u, from weights (3H, H) and coefficients (T, B, 5, H).

    Coefficients stand in the order C_r, C_z, C_q, one that does not matter here, u.
    """

    def __init__(self, weights: Array, coefficients: Array) -> None:
        self.steps, self.batch, _, self.size = coefficients.shape
        self._weights = weights
        self._gates = weights.reshape(3, self.size, self.size)
        self._coefficients = coefficients
        self._latest: tuple[int, Array] | None = None

    def sequence(self, index: int) -> ResetAfterFactors:
        """The factors of one sequence of the batch."""
        return ResetAfterFactors(self._weights, self._coefficients[:, index : index + 1])

    def _core(self, step: int) -> Array:
        """J, (B, H, H); the one of the last step asked for is kept."""
        if self._latest is None or self._latest[0] != step:
            C, W = self._coefficients[step, :, :, :, None], self._gates
            J = C[:, 0] * W[0]
            J += C[:, 1] * W[1]
            J += C[:, 2] * W[2]
            _diagonals(J)[...] += self._coefficients[step, :, 4]
            self._latest = (step, J)
        return self._latest[1]

    def times(self, step: int, frames: Array) -> Array:
        if frames.shape[2] >= _WIDE:
            return np.asarray(self._core(step) @ frames)
        C = self._coefficients[step, :, :, :, None]
        a = (self._weights @ frames).reshape(len(frames), 3, self.size, -1)
        return np.asarray((a * C[:, :3]).sum(axis=1) + C[:, 4] * frames)

    def transpose_times(self, step: int, frames: Array) -> Array:
        if frames.shape[2] >= _WIDE:
            return np.asarray(self._core(step).swapaxes(1, 2) @ frames)
        C = self._coefficients[step, :, :, :, None]
        gates = (C[:, :3] * frames[:, None]).reshape(len(frames), 3 * self.size, -1)
        return np.asarray(self._weights.T @ gates + C[:, 4] * frames)

    def dense(self, step: int) -> Array:
        return self._core(step).copy()


class ResetBeforeFactors:
    """J_t = C_n W_n (r + D_r W_r) + C_z W_z + u, from weights (3H, H) and coefficients (T, B, 5, H).

    Coefficients stand in the order D_r, C_z, C_n, r, u. A Jacobian costs a product of matrices, so that narrow frames
    go through its parts.
    """

    def __init__(self, weights: Array, coefficients: Array) -> None:
        self.steps, self.batch, _, self.size = coefficients.shape
        self._weights = weights
        self._gates = weights.reshape(3, self.size, self.size)
        self._coefficients = coefficients
        self._latest: tuple[int, Array] | None = None

    def sequence(self, index: int) -> ResetBeforeFactors:
        """The factors of one sequence of the batch."""
        return ResetBeforeFactors(self._weights, self._coefficients[:, index : index + 1])

    def _core(self, step: int) -> Array:
        """J, (B, H, H); the one of the last step asked for is kept."""
        if self._latest is None or self._latest[0] != step:
            C, W = self._coefficients[step, :, :, :, None], self._gates
            inside = C[:, 0] * W[0]
            _diagonals(inside)[...] += self._coefficients[step, :, 3]
            J = W[2] @ inside
            J *= C[:, 2]
            J += C[:, 1] * W[1]
            _diagonals(J)[...] += self._coefficients[step, :, 4]
            self._latest = (step, J)
        return self._latest[1]

    def times(self, step: int, frames: Array) -> Array:
        if 2 * frames.shape[2] > self.size:
            return np.asarray(self._core(step) @ frames)
        C, H = self._coefficients[step, :, :, :, None], self.size
        a = self._weights[: 2 * H] @ frames
        inside = C[:, 0] * a[:, :H] + C[:, 3] * frames
        return np.asarray(C[:, 2] * (self._gates[2] @ inside) + C[:, 1] * a[:, H:] + C[:, 4] * frames)

    def transpose_times(self, step: int, frames: Array) -> Array:
        if 2 * frames.shape[2] > self.size:
            return np.asarray(self._core(step).swapaxes(1, 2) @ frames)
        C, H = self._coefficients[step, :, :, :, None], self.size
        inside = self._gates[2].T @ (C[:, 2] * frames)
        gates = np.concatenate([C[:, 0] * inside, C[:, 1] * frames], axis=1)
        return np.asarray(self._weights[: 2 * H].T @ gates + C[:, 3] * inside + C[:, 4] * frames)

    def dense(self, step: int) -> Array:
        return self._core(step).copy()


def _diagonals(matrices: Array) -> Array:
    """A view of the diagonals of a stack, (B, N)."""
    return np.asarray(np.einsum("bii->bi", matrices))
