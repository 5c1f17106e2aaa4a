"""Step Jacobians of an LSTM as factors: diagonals around one product with the weights of its gates."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._types import Array
from .determinants import log_determinant
from .graded_lstm_factors import GradedLstmFactors

# From so many columns on, adding up the gates' weights first costs less than multiplying with each of them.
_WIDE = 32


class LstmFactors:
    """J_t over the state (h, c), from weights (4H, P) and coefficients (T, B, 6, H) in the order i, f, g, o, F, R.

        dc' = K dh + F dc,    dm = C_o W_o dh + R dc',    dh' = projection dm,    K = C_i W_i + C_f W_f + C_g W_g

    No Jacobian is kept: K and C_o W_o, (2H, P), are added up for one step at a time.
    """

    def __init__(self, weights: Array, coefficients: Array, projection: Array | None = None) -> None:
        self.steps, self.batch, _, self._H = coefficients.shape
        self._P = self.outputs = int(weights.shape[1])
        self.size = self._P + self._H
        self._weights = weights
        self._gates = weights.reshape(4, self._H, self._P)
        self._coefficients = coefficients
        self._projection = projection
        self._latest: tuple[int, Array] | None = None

    def sequence(self, index: int) -> LstmFactors:
        """The factors of one sequence of the batch."""
        return LstmFactors(self._weights, self._coefficients[:, index : index + 1], self._projection)

    def graded(self, *, closed: bool) -> GradedLstmFactors:
        """The same chain in better coordinates; `closed`, its product is the same too."""
        return GradedLstmFactors(self, closed=closed)

    @cached_property
    def _columns(self) -> Array:
        """The weights by columns, (4, P, H)."""
        return np.ascontiguousarray(self._gates.swapaxes(1, 2))

    def kept(self, step: int) -> Array:
        """F, (B, H)."""
        return np.asarray(self._coefficients[step, :, 4])

    def leaked(self, step: int, c: Array) -> Array:
        """projection R c: what c' does to h' in the same step."""
        m = self._coefficients[step, :, 5, :, None] * c
        return m if self._projection is None else np.asarray(self._projection @ m)

    def leaked_back(self, step: int, h: Array, out: Array | None = None) -> Array:
        """Its transpose, R projection^T h."""
        m = h if self._projection is None else self._projection.T @ h
        return np.multiply(self._coefficients[step, :, 5, :, None], m, out=out)

    def core_by_columns(self, step: int, out: Array) -> Array:
        """Write the transpose of projection C_o W_o above K, (B, P, P + H)."""
        C, W = self._coefficients[step, :, :, None], self._columns
        np.einsum("bgh,gph->bph", self._coefficients[step, :, :3], W[:3], out=out[:, :, self._P :])
        if self._projection is None:
            np.multiply(C[:, 3], W[3], out=out[:, :, : self._P])
        else:
            np.matmul(C[:, 3] * W[3], self._projection.T, out=out[:, :, : self._P])
        return out

    def _core(self, step: int) -> Array:
        """K above C_o W_o, (B, 2H, P); the one of the last step asked for is kept."""
        if self._latest is None or self._latest[0] != step:
            C, W, H = self._coefficients[step, :, :, :, None], self._gates, self._H
            core = np.empty((self.batch, 2 * H, self._P))
            K = core[:, :H]
            np.multiply(C[:, 0], W[0], out=K)
            K += C[:, 1] * W[1]
            K += C[:, 2] * W[2]
            np.multiply(C[:, 3], W[3], out=core[:, H:])
            self._latest = (step, core)
        return self._latest[1]

    def times(self, step: int, frames: Array) -> Array:
        P, H, C = self._P, self._H, self._coefficients[step, :, :, :, None]
        moved = self._moved(step, frames[:, :P])
        images = np.empty_like(frames)
        c, m = images[:, P:], moved[:, H:]
        np.multiply(C[:, 4], frames[:, P:], out=c)
        c += moved[:, :H]
        m += C[:, 5] * c
        images[:, :P] = m if self._projection is None else self._projection @ m
        return images

    def _moved(self, step: int, h: Array) -> Array:
        """K dh above C_o W_o dh, (B, 2H, m)."""
        if h.shape[2] >= _WIDE:
            product: Array = self._core(step) @ h
            return product
        a = (self._weights @ h).reshape(len(h), 4, self._H, -1)
        a *= self._coefficients[step, :, :4, :, None]
        return np.concatenate([a[:, 0] + a[:, 1] + a[:, 2], a[:, 3]], axis=1)

    def transpose_times(self, step: int, frames: Array) -> Array:
        P, H, C = self._P, self._H, self._coefficients[step, :, :, :, None]
        m = frames[:, :P] if self._projection is None else self._projection.T @ frames[:, :P]
        c = C[:, 5] * m
        c += frames[:, P:]
        images = np.empty_like(frames)
        images[:, P:] = C[:, 4] * c
        if frames.shape[2] >= _WIDE:
            images[:, :P] = self._core(step).swapaxes(1, 2) @ np.concatenate([c, m], axis=1)
        else:
            gates = C[:, :4] * np.stack([c, c, c, m], axis=1)
            images[:, :P] = self._weights.T @ gates.reshape(len(frames), 4 * H, -1)
        return images

    def dense(self, step: int) -> Array:
        P, H, C = self._P, self._H, self._coefficients[step]
        core = self._core(step)
        J = np.zeros((self.batch, self.size, self.size))
        diagonal = np.arange(H)
        J[:, P:, :P] = core[:, :H]
        J[:, P + diagonal, P + diagonal] = C[:, 4]
        m = np.zeros((self.batch, H, self.size))
        np.multiply(C[:, 5, :, None], core[:, :H], out=m[:, :, :P])
        m[:, :, :P] += core[:, H:]
        m[:, diagonal, P + diagonal] = C[:, 5] * C[:, 4]
        J[:, :P] = m if self._projection is None else self._projection @ m
        return J

    def log_abs_dets(self) -> Array:
        """ln abs det J_t, (T, B): taking R times the rows of c' from those of m leaves a triangle of blocks.

        det J = det(projection C_o W_o) det F, and without a projection det C_o comes out of it.
        """
        forget, output = self._coefficients[:, :, 4], self._coefficients[:, :, 3]
        with np.errstate(divide="ignore"):
            logs: Array = np.log(np.abs(forget)).sum(axis=2)
            if self._projection is None:
                logs += np.log(np.abs(output)).sum(axis=2) + _log_abs_det(self._gates[3])
                return logs
        for step in range(self.steps):
            inner = self._projection @ (output[step, :, :, None] * self._gates[3])
            logs[step] += [_log_abs_det(matrix) for matrix in inner]
        return logs


def _log_abs_det(matrix: Array) -> float:
    value = log_determinant(matrix)
    return -np.inf if value is None else value
