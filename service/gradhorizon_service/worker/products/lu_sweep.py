"""Carrying frames through a chain of factors, and the triangular product that they leave behind.

From a start frame F_0, the sweep forms J_t F_{t-1} = F_t U_t by LU, so that J_T .. J_1 F_0 = F_T U_T .. U_1.
LU costs less than QR, respects rows of any scale, such as saturated networks have, and keeps zeros; a
triangular product keeps its grading and can be accumulated as diag(exp l) X without ever mixing large and
small. With a random orthogonal F_0 no direction is missed, whatever subspaces the factors leave invariant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas

from .._types import Array
from .factors import Factors
from .graded import GradedRows, premultiplied
from .lu_frames import LARGE, Frames, advance_by, first_images

# Small triangles are multiplied a block of steps at a time, with few calls; large ones at once, while in the cache.
_BLOCK = 32
_BLOCK_BYTES = 64e6
# A product of triangles is regraded after so many steps, or before its diagonals together span so many nats.
_MAX_STEPS = 64
_WIDEST_SPREAD = 300.0


@dataclass(frozen=True, eq=False)
class Sweep:
    """J_T .. J_1 F_0 up to an orthogonal matrix on its left: a stack of B * R for B sequences and R starts.

    Of each step, (T, B * R), ``log_pivots`` is sum_i ln|u_ii|, which is ln|det J_t|, and ``spreads`` is
    ln max|u_ii| - ln min|u_ii|. Of each run, ``growth`` (B * R, N) is sum_t ln|u_ii|, and ``reversals`` (B * R,) the
    most nats by which a direction that fell behind another catches up again.
    """

    product: GradedRows
    log_pivots: Array
    spreads: Array
    growth: Array
    reversals: Array


def random_starts(size: int, runs: int) -> Array:
    """Orthogonal frames drawn with a fixed seed, (runs, N, N)."""
    return np.asarray(np.linalg.qr(np.random.default_rng(20).standard_normal((runs, size, size)))[0])


def random_units(size: int, runs: int) -> Array:
    """Units for the columns of frames, (runs, N): ones for the first run, numbers in [1, 2) for the others."""
    units = np.random.default_rng(10).uniform(1.0, 2.0, (runs, size))
    units[0] = 1.0
    return units


def sweep(factors: Factors, runs: int, dtype: type[np.floating[Any]] = np.float64) -> Sweep:
    """Carry random start frames through all steps, of which there is at least one.

    Runs differ in the start and in the units of the columns. Frames from different starts soon become the same, but
    in other units their entries have other mantissas, and their rounding errors nothing in common. In float32,
    every step suffers the errors of that precision, and only the product of the triangles does not.
    """
    stack, N = factors.batch * runs, factors.size
    units, starts = random_units(N, runs), random_starts(N, runs)
    triangles, advance = _Triangles(stack, units), advance_by(factors, dtype)
    block = 1 if N >= LARGE else int(np.clip(_BLOCK_BYTES // (8 * stack * N * N), 1, _BLOCK))
    # Two buffers in turn: the last frames of one block lie in its buffer while the next block begins.
    buffers = np.empty((2, min(block, factors.steps), stack, N, N), dtype)
    frames: Frames | None = None
    for index, first in enumerate(range(0, factors.steps, block)):
        packed = buffers[index % 2][: factors.steps - first]
        for step, images in enumerate(packed, start=first):
            if frames is None:
                first_images(factors, starts, units, images)
            else:
                advance(step, frames, images)
            frames = Frames(images, units)
        triangles.absorb(triangles.in_units(packed))
    if frames is None:
        raise ValueError("a sweep needs at least one factor")
    return triangles.finished((frames.explicit() / units[..., None]).reshape(stack, N, N).swapaxes(-1, -2))


class _Triangles:
    """The triangular product so far, and how the pivots behaved.

    U_t .. U_1 = exp(log_peaks) pending diag(exp l) X, with the triangles since the last regrading in ``pending``.
    """

    def __init__(self, stack: int, units: Array) -> None:
        unit = np.broadcast_to(np.eye(units.shape[1]), (stack, units.shape[1], units.shape[1]))
        self._units = units
        self._graded = GradedRows(np.zeros((stack, units.shape[1])), unit)
        self._pending: Array | None = None
        self._count, self._spread, self._log_peaks = 0, np.zeros(stack), np.zeros(stack)
        self._log_pivots: list[Array] = []
        self._spreads: list[Array] = []
        self._growth: list[Array] = []

    def in_units(self, packed: Array) -> Array:
        """The triangles (U C^-1)^T in float64; what lies above the diagonal does not matter."""
        if len(self._units) == 1:
            return packed.astype(np.float64, copy=False)
        stacked: Array = packed.reshape(len(packed), -1, *self._units.shape, packed.shape[-1])
        return (stacked / self._units[..., None]).reshape(packed.shape)

    def absorb(self, packed: Array) -> None:
        """Take up a block (k, S, N, N) of U_t^T in the lower triangles."""
        logs = np.log(np.abs(np.einsum("ksii->ksi", packed)))
        log_peaks = logs.max(axis=2)
        spreads = log_peaks - logs.min(axis=2)
        if len(packed) > 1 and not spreads.sum(axis=0).max() <= _WIDEST_SPREAD:
            half = len(packed) // 2
            self.absorb(packed[:half])
            self.absorb(packed[half:])
            return
        spread = self._spread + spreads.sum(axis=0)
        if self._count + len(packed) > _MAX_STEPS or not spread.max() <= _WIDEST_SPREAD:
            self._regrade()
        self._log_pivots.append(logs.sum(axis=2))
        self._spreads.append(spreads)
        self._growth.append(logs.sum(axis=0))
        if self._pending is None and len(packed) == 1:
            # As it is: a single step may span more than what division by its peak would leave.
            self._pending = np.tril(packed[0])
        else:
            self._pending = _multiplied(packed, np.exp(-log_peaks), self._pending)
            self._log_peaks = self._log_peaks + log_peaks.sum(axis=0)
        self._count, self._spread = self._count + len(packed), self._spread + spreads.sum(axis=0)

    def _regrade(self) -> None:
        if self._pending is not None:
            graded = premultiplied(self._pending.swapaxes(-1, -2), self._graded)
            self._graded = GradedRows(graded.log_scales + self._log_peaks[:, None], graded.rows)
            self._pending, self._count = None, 0
            self._spread, self._log_peaks = np.zeros_like(self._spread), np.zeros_like(self._log_peaks)

    def finished(self, last: Array) -> Sweep:
        """The product with the last frames F_T on the left, (S, N, N)."""
        self._regrade()
        return Sweep(
            premultiplied(np.asarray(np.linalg.qr(last, mode="r")), self._graded),
            np.concatenate(self._log_pivots),
            np.concatenate(self._spreads),
            np.sum(self._growth, axis=0),
            _reversals(np.stack(self._growth)),
        )


def _reversals(growth: Array) -> Array:
    """max over t and i < j of growth of j minus that of i, from t to the end, given (k, S, N) of k blocks."""
    remaining = np.cumsum(growth[::-1], axis=0)
    return np.asarray((remaining - np.minimum.accumulate(remaining, axis=2)).max(axis=(0, 2)))


def _multiplied(packed: Array, scales: Array, product: Array | None) -> Array:
    """The product P^T (s_1 U_1^T) .. (s_k U_k^T) of lower triangles (S, N, N), for s (k, S); P may be overwritten."""
    if packed.shape[-1] >= LARGE and product is not None:
        for triangles, factors in zip(packed, scales, strict=True):
            for accumulated, triangle, factor in zip(product, triangles, factors, strict=True):
                blas.dtrmm(factor, triangle.T, accumulated.T, lower=0, overwrite_b=True)
        return product
    triangles = np.tril(packed) * scales[..., None, None]
    while len(triangles) > 1:
        pairs = triangles[: len(triangles) // 2 * 2]
        triangles = np.concatenate([pairs[::2] @ pairs[1::2], triangles[len(pairs) :]])
    return np.asarray(triangles[0] if product is None else product @ triangles[0])
