"""Frames carried by LU factorisations: the full spectrum for little more than one product of matrices a step.

J F = P^T L U with partial pivoting makes P^T L the next frame and adds the logarithms of U's diagonal.
Entries of L are at most one and L stays well conditioned; rows of any scale, as saturated units give them,
cost no accuracy, and rows that are exactly zero give pivots that are exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property, partial

import numpy as np
from scipy.linalg import blas, lapack

from .._types import Array
from .determinants import log_determinant
from .factors import Factors, KnownDeterminants, RowScaled, Shifted
from .ladders import ScaledPower, scaled

_EPS = float(np.finfo(np.float64).eps)
# A pivot this far below the largest is examined: it may be nothing but rounding.
_SUSPICIOUS = 1e-9
# Rounding in a pivot stays below this many eps times the terms it was summed from. Low on purpose: a null
# direction is found at any one of many steps, and a small pivot that is real must not be taken for one.
_ROUNDING = 16.0
# Of a singular matrix it is known to have null directions, and more may be put down to rounding.
_ROUNDING_WHERE_SINGULAR = 4096.0
# An LU may add so many nats of rounding error to a logarithm for every step of the block that it is averaged
# over: standard errors are never as small.
_ERROR_A_STEP = 2e-9
# Frames may grow or shrink by this many nats without an LU; float64 ends at 709.
_LARGEST_GROWTH = 200.0
# Diagonals kept before their logarithms are taken.
_BUFFER = 128


class LuGauge:
    """Any factors: products J F, and an LU of every frame when rounding asks for it (see `Gauge`).

    A column of rounding errors travels with the frames, a sample with random signs of what the products have
    added. While it stays small beside the least pivot, steps need no LU of their own.
    """

    name = "LU when rounding requires it, QR between blocks"

    def __init__(self, factors: Factors, frames: Array) -> None:
        self.frames = frames
        self._factors = factors
        self._signs = np.random.default_rng(21).choice([-1.0, 1.0], factors.size)
        self._lower = np.tril(np.ones((frames.shape[2], factors.size), dtype=bool))
        self._stretch = 1
        self._offset = log_diagonals(frames)
        self.is_delicate = False

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1; the sums (B, k) of ln abs diag R."""
        sums, step = -self._offset, first
        affordable = _ERROR_A_STEP * (last - first)
        while step < last:
            length = min(self._stretch, last - step)
            logs = self._carry(step, length, affordable)
            if logs is not None:
                sums, step = sums + logs, step + length
        self._offset = log_diagonals(self.frames)
        return sums + self._offset

    def narrowed(self, columns: int) -> LuGauge:
        """The same for the first columns alone."""
        return LuGauge(self._factors, self.frames[:, :, :columns])

    def _carry(self, first: int, length: int, affordable: float) -> Array | None:
        """Some steps and an LU: ln of its pivots (B, k), or None and nothing done where that was too much."""
        columns, errors = self._images(first, length)
        pivots, logs = np.empty_like(self._offset), np.empty_like(self._offset)
        following = []
        for b, column in enumerate(columns):
            packed, order = _factorised(column[:-1].T)
            pivots[b] = np.abs(np.diagonal(packed))
            if length > 1 and not errors[b] < affordable * pivots[b].min():
                self._stretch = length // 2
                return None
            if length == 1 and _is_suspicious(pivots[b]):
                jacobians = self._factors.dense(first)
                jacobian = jacobians[b % len(jacobians)]
                is_singular = partial(self._is_singular, first, b, jacobian)
                pivots[b] = _without_rounding(packed, order, jacobian, self.frames[b], is_singular)
                logs[b] = self._logs(pivots[b], first, b, jacobian)
                self.is_delicate |= _is_suspicious(pivots[b][pivots[b] > 0.0])
            else:
                logs[b] = log(pivots[b])
            following.append(self._frame(packed.T, order))
        self.frames = np.array(following).swapaxes(1, 2)
        self._stretch = _next_stretch(pivots, errors, length, affordable)
        return logs

    def _logs(self, pivots: Array, step: int, b: int, jacobian: Array) -> Array:
        """ln of pivots some of which drowned in rounding: -inf, or of a regular J their share of its determinant.

        All N columns of a frame have determinant one, so that the pivots multiply to that of J. Where it is known,
        the least pivot answers for what rounding has made of their product.
        """
        logs, lost = log(pivots), pivots == 0.0
        if len(pivots) < len(jacobian) or not (lost.any() or self._known_determinants is not None):
            return logs
        determinant = self._log_determinant(step, b, jacobian)
        if not lost.any():
            lost = np.arange(len(pivots)) == pivots.argmin()
        if np.isfinite(determinant):
            logs[lost] = (determinant - logs[~lost].sum()) / lost.sum()
        return logs

    def _is_singular(self, step: int, b: int, jacobian: Array) -> bool:
        return self._log_determinant(step, b, jacobian) == -np.inf

    def _log_determinant(self, step: int, b: int, jacobian: Array) -> float:
        if self._known_determinants is not None:
            logs = self._known_determinants[step]
            return float(logs[b % len(logs)])
        value = log_determinant(jacobian)
        return -np.inf if value is None else value

    @cached_property
    def _known_determinants(self) -> Array | None:
        """(T, B), where the factors know theirs."""
        return self._factors.log_abs_dets() if isinstance(self._factors, KnownDeterminants) else None

    def _images(self, first: int, length: int) -> tuple[Array, Array]:
        """The columns of the frames after some steps, then those errors, (B, k + 1, N); and their size, (B,)."""
        batch, size, count = self.frames.shape
        columns = np.empty((batch, count + 1, size))
        columns[:, :-1], columns[:, -1] = self.frames.swapaxes(1, 2), 0.0
        with np.errstate(over="ignore", invalid="ignore") if length > 1 else nullcontext():
            for step in range(first, first + length):
                if step > first:
                    columns[:, -1] += self._signs * _EPS * np.abs(columns).max(axis=1)
                images = self._factors.times(step, columns.swapaxes(1, 2))
                columns = np.ascontiguousarray(images.swapaxes(1, 2))
        return columns, np.abs(columns[:, -1]).max(axis=1)

    def _frame(self, packed: Array, order: Array) -> Array:
        """The columns of P^T L, (k, N), from those of L and U, which are lost."""
        np.copyto(packed, 0.0, where=self._lower)
        np.fill_diagonal(packed, 1.0)
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return np.take(packed, inverse, axis=1)


def _next_stretch(pivots: Array, errors: Array, length: int, affordable: float) -> int:
    """How many steps can do with one LU, if errors go on growing beside the least pivot as they did."""
    least, most = pivots.min(axis=1), pivots.max(axis=1)
    if not least.min() > 0.0:
        return 1
    rounding = np.log(np.maximum(errors, 4.0 * _EPS * most)) - np.log(least)
    rate = float(rounding.max() - math.log(_EPS)) / length
    growth = float(np.abs(np.log([least, most])).max()) / length
    longest = min(math.log(affordable / _EPS) / max(rate, 0.1), _LARGEST_GROWTH / max(growth, 0.1))
    return max(1, min(int(longest), 2 * length))


class TriangularLuGauge:
    """J_t = c I + diag(d_t) W and all N columns: frames are triangular, and W F is half a product, in place."""

    name = "LU and a triangular product at every step, QR between blocks"
    is_delicate = False  # rows of any scale cost no accuracy where slopes scale the rows of one matrix

    def __init__(self, factors: RowScaled | Shifted, frames: Array) -> None:
        self.frames = frames
        self._factors = factors
        shift = factors.shift if isinstance(factors, Shifted) else 0.0
        weights = _Weights(scaled(factors.matrix), shift)
        self._sequences = [_Sequence(weights, factors.slopes[:, b], frame) for b, frame in enumerate(frames)]
        self._offset = np.zeros(frames.shape[:2])

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1; the sums (B, N) of ln abs diag R."""
        sums = np.array([sequence.advance(first, last) for sequence in self._sequences])
        self.frames = np.array([sequence.frame for sequence in self._sequences])
        offset, self._offset = self._offset, log_diagonals(self.frames)
        return sums + self._offset - offset

    def narrowed(self, columns: int) -> LuGauge:
        """The first columns alone: a frame that is not square is not triangular."""
        return LuGauge(self._factors, self.frames[:, :, :columns])


class _Weights:
    """W in the two orders in memory that its products need, and c in its units."""

    def __init__(self, power: ScaledPower, shift: float) -> None:
        self.shift = shift * math.exp(-power.log_scale)
        self.rows = np.asfortranarray(power.matrix)
        self.columns = np.ascontiguousarray(power.matrix.T)
        self.log_scale = power.log_scale


class _Sequence:
    """The frame of one sequence: given at first, then L and U in one array and the order of its rows."""

    def __init__(self, weights: _Weights, slopes: Array, frame: Array) -> None:
        self.frame = frame
        self._weights = weights
        self._slopes = slopes
        self._packed: Array | None = None
        self._spare = np.empty_like(weights.rows)
        self._order = np.arange(len(frame))

    def advance(self, first: int, last: int) -> Array:
        """The sums of ln abs diag U over the steps."""
        slopes, size = self._slopes[first:last], len(self.frame)
        diagonals = np.empty((min(_BUFFER, len(slopes)), size))
        sums = np.full(size, len(slopes) * self._weights.log_scale)
        for start in range(0, len(slopes), _BUFFER):
            stretch = slopes[start : start + _BUFFER]
            for i, d in enumerate(stretch):
                diagonals[i] = self._step(d, is_first=start + i == 0)
            sums += log(np.abs(diagonals[: len(stretch)])).sum(axis=0)
        if self._packed is not None:
            self.frame = np.empty_like(self.frame)
            self.frame[self._order] = _unit_lower(self._packed)
        return sums

    def _step(self, slopes: Array, *, is_first: bool) -> Array:
        """One step; its pivots. On the first, where ``frame`` is what it acts on, null directions of W show."""
        if self._packed is None:
            image = blas.dgemm(1.0, self._weights.rows, self.frame, c=self._spare, overwrite_c=1)
        else:
            np.take(self._weights.columns, self._order, axis=0, out=self._spare.T, mode="clip")
            image = blas.dtrmm(1.0, self._packed, self._spare, side=1, lower=1, diag=1, overwrite_b=1)
        image *= slopes[:, None]
        shift = self._weights.shift
        frame = self.frame
        if shift and self._packed is not None:
            frame = np.empty_like(image)
            frame[self._order] = _unit_lower(self._packed)
        if shift:
            image += shift * frame
        self._spare = np.empty_like(image) if self._packed is None else self._packed
        self._packed, self._order = _factorised(image)
        pivots: Array = np.abs(np.diagonal(self._packed))
        if (is_first or shift) and _is_suspicious(pivots):
            jacobian = slopes[:, None] * self._weights.rows + shift * np.eye(len(slopes))
            pivots = _without_rounding(
                self._packed, self._order, jacobian, frame, lambda: log_determinant(jacobian) is None
            )
        return pivots


def log_diagonals(frames: Array) -> Array:
    """ln abs diag R (B, k) of the frames' QR factorisations."""
    return log(np.abs(np.diagonal(np.linalg.qr(frames, mode="r"), axis1=1, axis2=2)))


def log(values: Array) -> Array:
    """Natural logarithms, -inf for zeros."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))


def _factorised(image: Array) -> tuple[Array, Array]:
    """L and U in one array, in place of the Fortran-ordered image, and the order of image[order] = L U."""
    packed, pivots, _ = lapack.dgetrf(image, overwrite_a=1)
    order = list(range(len(packed)))
    for i, j in enumerate(pivots.tolist()):
        order[i], order[j] = order[j], order[i]
    return packed, np.array(order)


def _unit_lower(packed: Array) -> Array:
    lower = np.tril(packed, -1)
    np.fill_diagonal(lower, 1.0)
    return lower


def _is_suspicious(pivots: Array) -> bool:
    return bool(len(pivots) and pivots.min() <= _SUSPICIOUS * pivots.max())


def _without_rounding(
    packed: Array, order: Array, jacobian: Array, frame: Array, is_singular: Callable[[], bool]
) -> Array:
    """The absolute pivots, with zero for those no larger than rounding in the sums they came from.

    Pivot i is (J F)_ii - sum over j < i of l_ij u_ji in the order of rows: everything is measured by the
    absolute terms of these sums, so that scales of rows do not matter.
    """
    pivots = np.abs(np.diagonal(packed))
    columns = np.arange(len(pivots))
    suspects = np.flatnonzero(pivots <= _SUSPICIOUS * pivots.max())
    left, above = np.abs(packed[suspects, : len(pivots)]), np.abs(packed[: len(pivots), suspects].T)
    eliminated = np.einsum("ij,ij->i", np.where(columns < suspects[:, None], left, 0.0), above)
    multiplied = np.einsum("ij,ji->i", np.abs(jacobian[order[suspects]]), np.abs(frame[:, suspects]))
    rounding = _EPS * (eliminated + multiplied)
    lost, doubtful = (
        pivots[suspects] <= factor * rounding for factor in (_ROUNDING, _ROUNDING_WHERE_SINGULAR)
    )
    if np.any(doubtful & ~lost) and is_singular():
        lost = doubtful
    return np.where(np.isin(columns, suspects[lost]), 0.0, pivots)
