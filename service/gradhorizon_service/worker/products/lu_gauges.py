"""Frames carried by LU factorisations: the full spectrum for little more than one product of matrices a step.

J F = P^T L U with partial pivoting makes P^T L the next frame and adds the logarithms of U's diagonal.
Entries of L are at most one and L stays well conditioned; rows of any scale, as saturated units give them,
cost no accuracy, and rows that are exactly zero give pivots that are exactly zero.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas, lapack

from .._types import Array
from .factors import Factors, Gathering, RowScaled, Shifted
from .ladders import ScaledPower, scaled

_EPS = float(np.finfo(np.float64).eps)
# A pivot this far below the largest is examined: it may be nothing but rounding.
_SUSPICIOUS = 1e-9
# Rounding in a pivot stays below this many eps times the terms it was summed from. Low on purpose: a null
# direction is found at any one of many steps, and a small pivot that is real must not be taken for one.
_ROUNDING = 16.0
# Diagonals kept before their logarithms are taken.
_BUFFER = 128


class LuGauge:
    """Any factors: one product J F and one LU a step and sequence (see `Gauge`)."""

    name = "LU at every step, QR between blocks"

    def __init__(self, factors: Factors, frames: Array) -> None:
        self.frames = frames
        self._factors = factors
        self._offset = np.zeros((len(frames), frames.shape[2]))

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1; the sums (B, k) of ln abs diag R."""
        sums = -self._offset
        for step in range(first, last):
            images = self._factors.times(step, self.frames)
            moved = np.empty_like(images)
            for b, image in enumerate(images):
                packed, order = _factorised(np.asfortranarray(image))
                pivots = np.abs(np.diagonal(packed))
                if _is_suspicious(pivots):
                    jacobians = self._factors.dense(step)
                    pivots = _without_rounding(packed, order, jacobians[b % len(jacobians)], self.frames[b])
                sums[b] += log(pivots)
                moved[b, order] = _unit_lower(packed)
            self.frames = moved
        self._offset = log_diagonals(self.frames)
        return sums + self._offset


class SquareLuGauge:
    """Any factors and all N columns: frames are triangular, and J P^T L is half a product, in place."""

    name = "LU and a triangular product at every step, QR between blocks"

    def __init__(self, factors: Factors, frames: Array) -> None:
        self.frames = frames
        self._factors = factors
        self._offset = np.zeros(frames.shape[:2])

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1; the sums (B, N) of ln abs diag R."""
        sums = -self._offset
        carried = [_Carried(self._factors, b, frame) for b, frame in enumerate(self.frames)]
        pivots = np.empty((min(_BUFFER, last - first), *self.frames.shape[:2]))
        for start in range(first, last, _BUFFER):
            stretch = range(start, min(start + _BUFFER, last))
            for i, step in enumerate(stretch):
                for b, frame in enumerate(carried):
                    pivots[i, b] = frame.moved(step)
            sums += log(pivots[: len(stretch)]).sum(axis=0)
        self.frames = np.array([frame.explicit() for frame in carried])
        self._offset = log_diagonals(self.frames)
        return sums + self._offset


class _Carried:
    """The frame of one sequence: given at first, then L and U in one array and the order of its rows."""

    def __init__(self, factors: Factors, index: int, frame: Array) -> None:
        self._factors = factors
        self._index = index
        self._frame = frame
        self._packed: Array | None = None
        self._order = np.arange(len(frame))
        self._spare = np.empty(frame.shape, order="F")

    def moved(self, step: int) -> Array:
        """The absolute pivots of J F, the next frame."""
        if self._packed is None:
            image = np.asfortranarray(self._jacobian(step) @ self._frame)
        else:
            self._gather(step)
            image = blas.dtrmm(1.0, self._packed, self._spare, side=1, lower=1, diag=1, overwrite_b=1)
        packed, order = _factorised(image)
        pivots: Array = np.abs(np.diagonal(packed))
        if _is_suspicious(pivots):
            pivots = _without_rounding(packed, order, self._jacobian(step), self.explicit())
        if self._packed is not None:
            self._spare = self._packed
        self._packed, self._order = packed, order
        return pivots

    def _jacobian(self, step: int) -> Array:
        jacobians = self._factors.dense(step)
        return np.asarray(jacobians[self._index % len(jacobians)])

    def _gather(self, step: int) -> None:
        """J P^T, in the spare array."""
        if isinstance(self._factors, Gathering):
            self._factors.gather(step, self._index, self._order, self._spare.T)
        else:
            np.take(self._jacobian(step).T, self._order, axis=0, out=self._spare.T, mode="clip")

    def explicit(self) -> Array:
        """F = P^T L."""
        if self._packed is None:
            return self._frame
        frame = np.empty_like(self._frame)
        frame[self._order] = _unit_lower(self._packed)
        return frame


class TriangularLuGauge:
    """J_t = c I + diag(d_t) W and all N columns: frames are triangular, and W F is half a product, in place."""

    name = "LU and a triangular product at every step, QR between blocks"

    def __init__(self, factors: RowScaled | Shifted, frames: Array) -> None:
        self.frames = frames
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
            pivots = _without_rounding(self._packed, self._order, jacobian, frame)
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
    return bool(pivots.min() <= _SUSPICIOUS * pivots.max())


def _without_rounding(packed: Array, order: Array, jacobian: Array, frame: Array) -> Array:
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
    lost = suspects[pivots[suspects] <= _ROUNDING * _EPS * (eliminated + multiplied)]
    return np.where(np.isin(columns, lost), 0.0, pivots)
