"""Carrying frames through a chain of factors, and the triangular product that they leave behind.

From a start frame F_0, the sweep forms J_t F_{t-1} = F_t U_t by LU, so that J_T .. J_1 F_0 = F_T U_T .. U_1.
LU costs less than QR, respects rows of any scale, such as saturated networks have, and keeps zeros; a
triangular product keeps its grading and can be accumulated as diag(exp l) X without ever mixing large and
small. With a random orthogonal F_0 no direction is missed, whatever subspaces the factors leave invariant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import blas

from .._types import Array
from .factors import Factors
from .graded import GradedRows, premultiplied
from .lu_frames import LARGE, Frames, advance_by, first_images

# Steps whose triangles are kept before they are multiplied: many small ones, few large ones.
_BLOCK = 32
_BLOCK_BYTES = 2**21
_SHORTEST_BLOCK = 4
# A product of triangles is regraded after so many steps, or before its diagonals together span so many nats.
_MAX_STEPS = 64
_WIDEST_SPREAD = 300.0


@dataclass(frozen=True, eq=False)
class Sweep:
    """J_T .. J_1 F_0 up to an orthogonal matrix on its left: a stack of B * R for B sequences and R starts.

    Of each step, (T, B * R), ``log_pivots`` is sum_i ln|u_ii|, which is ln|det J_t|, and ``spreads`` is ln
    max|u_ii| - ln min|u_ii|. Of each run, ``log_diagonals`` (B * R, N) is ln|r_ii| for the R of the product,
    and ``reversals`` (B * R,) the most nats by which a direction that fell behind another catches up again.
    """

    product: GradedRows
    log_pivots: Array
    spreads: Array
    log_diagonals: Array
    reversals: Array


def random_starts(size: int, runs: int) -> Array:
    """Orthogonal frames drawn with a fixed seed, (runs, N, N)."""
    return np.asarray(np.linalg.qr(np.random.default_rng(20).standard_normal((runs, size, size)))[0])


def random_units(size: int, runs: int) -> Array:
    """Units for the columns of frames, (runs, N): ones for the first run, in [1, 2) for the others."""
    units = np.random.default_rng(10).uniform(1.0, 2.0, (runs, size))
    units[0] = 1.0
    return units


def sweep(factors: Factors, runs: int) -> Sweep:
    """Carry random start frames through all steps, of which there is at least one.

    Runs differ in the start and in the units of the columns. Frames from different starts soon become the
    same, but in other units their entries have other mantissas, and their rounding errors nothing in common.
    """
    carrier = _Carrier(factors, runs, np.float64)
    triangles = _Triangles(len(carrier), carrier.units)
    for packed in carrier.blocks():
        triangles.absorb(triangles.in_units(packed))
    return triangles.finished(carrier.last())


def log_diagonals(factors: Factors, dtype: type[np.floating[Any]]) -> Array:
    """ln|r_ii| (B, N) for the R of J_T .. J_1 F_0, as in the first run of `sweep`, in another precision."""
    carrier = _Carrier(factors, 1, dtype)
    pivots = [np.einsum("ksii->ksi", packed).astype(np.float64) for packed in carrier.blocks()]
    growth = np.log(np.abs(np.concatenate(pivots))).sum(axis=0)
    return np.asarray(growth + _log_diagonals(np.linalg.qr(carrier.last(), mode="r")))


def _log_diagonals(R: ArrayLike) -> Array:
    return np.asarray(np.log(np.abs(np.einsum("sii->si", np.asarray(R)))))


class _Carrier:
    """Frames on their way through all steps."""

    def __init__(self, factors: Factors, runs: int, dtype: type[np.floating[Any]]) -> None:
        self.units = random_units(factors.size, runs)
        self._factors, self._dtype = factors, dtype
        self._frames: Frames | None = None

    def __len__(self) -> int:
        return self._factors.batch * len(self.units)

    def blocks(self) -> Iterator[Array]:
        """What `Frames` leaves of the steps, (k, S, N, N) at a time; valid until the next but one."""
        factors, stack, N = self._factors, len(self), self._factors.size
        advance = advance_by(factors, self._dtype)
        block = int(np.clip(_BLOCK_BYTES // (8 * stack * N * N), _SHORTEST_BLOCK, _BLOCK))
        # Two buffers in turn: the last frames of one block lie in its buffer while the next block begins.
        buffers = np.empty((2, min(block, factors.steps), stack, N, N), self._dtype)
        for index, first in enumerate(range(0, factors.steps, block)):
            packed = buffers[index % 2][: factors.steps - first]
            for step, images in enumerate(packed, start=first):
                if self._frames is None:
                    first_images(factors, random_starts(N, len(self.units)), self.units, images)
                else:
                    advance(step, self._frames, images)
                self._frames = Frames(images, self.units)
            yield packed

    def last(self) -> Array:
        """F_T in float64, (S, N, N)."""
        if self._frames is None:
            raise ValueError("a sweep needs at least one factor")
        frames = self._frames.explicit() / self.units[..., None]
        return frames.reshape(len(self), *frames.shape[2:]).swapaxes(-1, -2)


class _Triangles:
    """The triangular product so far, and how the pivots behaved.

    U_t .. U_1 = exp(log_peaks) pending diag(exp l) X, where ``pending`` holds what came since the last
    regrading.
    """

    def __init__(self, stack: int, units: Array) -> None:
        unit = np.broadcast_to(np.eye(units.shape[1]), (stack, units.shape[1], units.shape[1]))
        self._units = units
        self._graded = GradedRows(np.zeros((stack, units.shape[1])), unit)
        self._pending: Array | None = None
        self._count, self._spread, self._log_peaks = 0, 0.0, np.zeros(stack)
        self._pivots: list[Array] = []

    def in_units(self, packed: Array) -> Array:
        """The triangles (U C^-1)^T; what lies above the diagonal does not matter."""
        if len(self._units) == 1:
            return packed
        stacked: Array = packed.reshape(len(packed), -1, *self._units.shape, packed.shape[-1])
        return (stacked / self._units[..., None]).reshape(packed.shape)

    def absorb(self, packed: Array) -> None:
        """Take up a block (k, S, N, N) of U_t^T in the lower triangles."""
        pivots = np.abs(np.einsum("ksii->ksi", packed))
        peaks, lows = pivots.max(axis=2), pivots.min(axis=2)
        spread = np.log(peaks / lows).sum(axis=0).max()
        if len(packed) > 1 and not spread <= _WIDEST_SPREAD:
            half = len(packed) // 2
            self.absorb(packed[:half])
            self.absorb(packed[half:])
            return
        if self._count + len(packed) > _MAX_STEPS or not self._spread + spread <= _WIDEST_SPREAD:
            self._regrade()
        self._pivots.append(pivots)
        if self._pending is None and len(packed) == 1:
            # As it is: a single step may span more than what division by its peak would leave.
            self._pending = np.tril(packed[0])
        else:
            self._pending = _multiplied(packed, 1.0 / peaks, self._pending)
            self._log_peaks += np.log(peaks).sum(axis=0)
        self._count += len(packed)
        self._spread += float(spread)

    def _regrade(self) -> None:
        if self._pending is not None:
            graded = premultiplied(self._pending.swapaxes(-1, -2), self._graded)
            self._graded = GradedRows(graded.log_scales + self._log_peaks[:, None], graded.rows)
            self._pending, self._count = None, 0
            self._spread, self._log_peaks = 0.0, np.zeros_like(self._log_peaks)

    def finished(self, last: Array) -> Sweep:
        """The product with the last frames F_T on the left, (S, N, N)."""
        self._regrade()
        R = np.asarray(np.linalg.qr(last, mode="r"))
        logs = np.log(np.concatenate(self._pivots))
        return Sweep(
            premultiplied(R, self._graded),
            logs.sum(axis=2),
            np.ptp(logs, axis=2),
            logs.sum(axis=0) + _log_diagonals(R),
            _reversals(logs),
        )


def _reversals(logs: Array) -> Array:
    """max over t and i < j of growth of j minus that of i, from t to the end, given ln|u_ii| (T, S, N)."""
    remaining = np.cumsum(logs[::-1], axis=0)
    return np.asarray((remaining - np.minimum.accumulate(remaining, axis=2)).max(axis=(0, 2)))


def _multiplied(packed: Array, scales: Array, product: Array | None) -> Array:
    """P^T (s_1 U_1^T) .. (s_k U_k^T), lower triangles (S, N, N), for s (k, S); P may be overwritten."""
    if packed.shape[-1] < LARGE:
        triangles = np.tril(packed) * scales[..., None, None]
        while len(triangles) > 1:
            pairs = triangles[: len(triangles) // 2 * 2]
            triangles = np.concatenate([pairs[::2] @ pairs[1::2], triangles[len(pairs) :]])
        return np.asarray(triangles[0] if product is None else product @ triangles[0])
    if product is None:
        product = np.tril(packed[0]) * scales[0, :, None, None]
        packed, scales = packed[1:], scales[1:]
    for triangles, factors in zip(packed, scales, strict=True):
        for accumulated, triangle, factor in zip(product, triangles, factors, strict=True):
            blas.dtrmm(factor, triangle.T, accumulated.T, lower=0, overwrite_b=True)
    return product
