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
from .lu_frames import LARGE, Frames, advance_by, first_images, unit_lower

# Triangles are regraded a block of steps at a time: few calls for small ones, bounded storage for large ones.
_BLOCK = 32
_BLOCK_BYTES = 64e6
# Inside a block they are multiplied as they are, while their diagonals together span at most so many nats.
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


def sweep(factors: Factors, starts: Array, dtype: type[np.floating[Any]] = np.float64) -> Sweep:
    """Carry the start frames (R, N, N) through all steps, of which there is at least one.

    In float32, every step suffers the errors of that precision; only the product of the triangles does not.
    """
    stack, N = factors.batch * len(starts), factors.size
    triangles, advance = _Triangles(stack, N), advance_by(factors, dtype)
    block = int(np.clip(_BLOCK_BYTES // (8 * stack * N * N), 1, _BLOCK))
    # Two buffers in turn: the last frames of one block lie in its buffer while the next block begins.
    buffers = np.empty((2, min(block, factors.steps), stack, N, N), dtype)
    frames: Frames | None = None
    for index, first in enumerate(range(0, factors.steps, block)):
        packed = buffers[index % 2][: factors.steps - first]
        for step, images in enumerate(packed, start=first):
            if frames is None:
                first_images(factors, starts, images)
            else:
                advance(step, frames, images)
            frames = Frames(images)
        triangles.absorb(packed.astype(np.float64, copy=False))
    # The order of the rows of the last frames does not matter: their R is that of L.
    return triangles.finished(unit_lower(packed[-1]).astype(np.float64, copy=False).swapaxes(-1, -2))


class _Triangles:
    """The triangular product so far, U_t .. U_1 = diag(exp l) X, and how the pivots behaved."""

    def __init__(self, stack: int, size: int) -> None:
        unit = np.broadcast_to(np.eye(size), (stack, size, size))
        self._product = GradedRows(np.zeros((stack, size)), unit)
        self._log_pivots: list[Array] = []
        self._spreads: list[Array] = []
        self._growth: list[Array] = []

    def absorb(self, packed: Array) -> None:
        """Take up a block (k, S, N, N) of U_t^T in the lower triangles."""
        diagonals = np.abs(np.einsum("ksii->ksi", packed))
        # A single step is taken as it is: it may span more than what division by its peak would leave.
        peaks = np.where(diagonals.any(axis=2) & (len(packed) > 1), diagonals.max(axis=2), 1.0)
        logs = np.log(diagonals)
        spreads = np.ptp(logs, axis=2)
        moderate = len(packed) == 1 or spreads.sum(axis=0).max() <= _WIDEST_SPREAD
        product = _triangular_product(packed, peaks) if moderate else None
        if product is None or (len(packed) > 1 and not np.isfinite(product).all()):
            half = len(packed) // 2
            self.absorb(packed[:half])
            self.absorb(packed[half:])
            return
        self._log_pivots.append(logs.sum(axis=2))
        self._spreads.append(spreads)
        self._growth.append(logs.sum(axis=0))
        regraded = premultiplied(product.swapaxes(-1, -2), self._product)
        scales = regraded.log_scales + np.log(peaks).sum(axis=0)[:, None]
        self._product = GradedRows(scales, regraded.rows)

    def finished(self, last: Array) -> Sweep:
        """The product with the last frames F_T on the left, (S, N, N)."""
        return Sweep(
            premultiplied(np.asarray(np.linalg.qr(last, mode="r")), self._product),
            np.concatenate(self._log_pivots),
            np.concatenate(self._spreads),
            np.sum(self._growth, axis=0),
            _reversals(np.stack(self._growth)),
        )


def _reversals(growth: Array) -> Array:
    """max over t and i < j of growth of j minus that of i, from t to the end, given (k, S, N) of k blocks."""
    remaining = np.cumsum(growth[::-1], axis=0)
    return np.asarray((remaining - np.minimum.accumulate(remaining, axis=2)).max(axis=(0, 2)))


def _triangular_product(packed: Array, peaks: Array) -> Array:
    """The products of U_t^T / peak_t, t = 1 .. k: lower triangles (S, N, N)."""
    if packed.shape[-1] < LARGE:
        triangles = np.tril(packed) / peaks[..., None, None]
        while len(triangles) > 1:
            pairs = triangles[: len(triangles) // 2 * 2]
            triangles = np.concatenate([pairs[::2] @ pairs[1::2], triangles[len(pairs) :]])
        return np.asarray(triangles[0])
    product: Array = np.tril(packed[0]) / peaks[0, :, None, None]
    for triangles, scales in zip(packed[1:], peaks[1:], strict=True):
        for accumulated, triangle, scale in zip(product, triangles, scales, strict=True):
            blas.dtrmm(1.0 / scale, triangle.T, accumulated.T, lower=0, overwrite_b=True)
    return product
