"""Frames carried by LU factorisations: the full spectrum for little more than one product of matrices a step.

J F = P^T L U with partial pivoting makes P^T L the next frame and adds the logarithms of U's diagonal. Entries of L are
at most one and L stays well conditioned; rows of any scale, as saturated units give them, cost no accuracy, and rows that
are exactly zero give pivots that are exactly zero.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from .._types import Array
from .factors import Factors, RowScaled
from .ladders import scaled

_EPS = float(np.finfo(np.float64).eps)
# A pivot this far below the largest is examined: it may be nothing but rounding.
_SUSPICIOUS = 1e-9
# Rounding in a pivot stays below this many eps times the terms it was summed from. Low on purpose: a null direction is
# found at any one of many steps, and a small pivot that is real must not be taken for one.
_ROUNDING = 16.0
# Diagonals kept before their logarithms are taken.
_BUFFER = 128


class LuGauge:
    """Any factors: one product J F and one LU a step and sequence."""

    name = "LU at every step, QR between blocks"

    def __init__(self, factors: Factors) -> None:
        self._factors = factors

    def advance(self, frames: Array, first: int, last: int) -> tuple[Array, Array]:
        """The frames after steps first .. last - 1, and the sums of ln abs diag R (see `Gauge`)."""
        sums = np.zeros((len(frames), frames.shape[2]))
        for step in range(first, last):
            images = self._factors.times(step, frames)
            moved = np.empty_like(images)
            for b, image in enumerate(images):
                packed, order = factorised(np.asfortranarray(image))
                pivots = np.abs(np.diagonal(packed))
                if is_suspicious(pivots):
                    jacobian = self._factors.dense(step)
                    shared = jacobian[b if len(jacobian) > 1 else 0]
                    pivots = without_rounding(packed, order, shared, frames[b])
                sums[b] += log(pivots)
                moved[b, order] = _unit_lower(packed)
            frames = moved
        return orthonormal(frames, sums)


class TriangularLuGauge:
    """J_t = diag(d_t) W and all N columns: the frame P^T L is triangular, so W F is half a product, in place."""

    name = "LU and a triangular product at every step, QR between blocks"

    def __init__(self, factors: RowScaled) -> None:
        weights = scaled(factors.matrix)
        self._weights = np.asfortranarray(weights.matrix)
        self._rows = np.ascontiguousarray(weights.matrix.T)
        self._log_scale = weights.log_scale
        self._slopes = factors.slopes

    def advance(self, frames: Array, first: int, last: int) -> tuple[Array, Array]:
        """The frames after steps first .. last - 1, and the sums of ln abs diag R (see `Gauge`)."""
        moved = [self._carried(frame, self._slopes[first:last, b]) for b, frame in enumerate(frames)]
        return orthonormal(np.stack([frame for frame, _ in moved]), np.stack([logs for _, logs in moved]))

    def _carried(self, frame: Array, slopes: Array) -> tuple[Array, Array]:
        image = blas.dgemm(1.0, self._weights, frame)
        image *= slopes[0][:, None]
        packed, order = factorised(image)
        spare = np.empty_like(packed)
        sums = np.full(len(frame), len(slopes) * self._log_scale)
        pivots = np.abs(np.diagonal(packed))
        # Rounding instead of zeros can only come from W here, and shows at any step.
        if is_suspicious(pivots):
            pivots = without_rounding(packed, order, slopes[0][:, None] * self._weights, frame)
        sums += log(pivots)
        diagonals, filled = np.empty((_BUFFER, len(frame))), 0
        for d in slopes[1:]:
            np.take(self._rows, order, axis=0, out=spare.T, mode="clip")
            image = blas.dtrmm(1.0, packed, spare, side=1, lower=1, diag=1, overwrite_b=1)
            image *= d[:, None]
            spare = packed
            packed, order = factorised(image)
            diagonals[filled] = np.diagonal(packed)
            filled += 1
            if filled == _BUFFER:
                sums += log(np.abs(diagonals)).sum(axis=0)
                filled = 0
        sums += log(np.abs(diagonals[:filled])).sum(axis=0)
        carried = np.empty_like(frame)
        carried[order] = _unit_lower(packed)
        return carried, sums


def factorised(image: Array) -> tuple[Array, Array]:
    """L and U in one array, in place of the Fortran-ordered image, and the order of rows: image[order] = L U."""
    packed, pivots, _ = lapack.dgetrf(image, overwrite_a=1)
    order = list(range(len(packed)))
    for i, j in enumerate(pivots.tolist()):
        order[i], order[j] = order[j], order[i]
    return packed, np.array(order)


def _unit_lower(packed: Array) -> Array:
    lower = np.tril(packed, -1)
    np.fill_diagonal(lower, 1.0)
    return lower


def orthonormal(frames: Array, sums: Array) -> tuple[Array, Array]:
    """Orthonormal frames spanning the same flags, and the sums that QR at every step would have given."""
    frames, triangles = np.linalg.qr(frames)
    return frames, sums + log(np.abs(np.diagonal(triangles, axis1=1, axis2=2)))


def is_suspicious(pivots: Array) -> bool:
    """Whether any row of (..., k) absolute pivots holds one that might be rounding instead of zero."""
    return bool(np.any(pivots.min(axis=-1) <= _SUSPICIOUS * pivots.max(axis=-1)))


def without_rounding(packed: Array, order: Array, jacobian: Array, frame: Array) -> Array:
    """The absolute pivots, with zero for those no larger than rounding in the sums they came from.

    Pivot i is (J F)_ii - sum over j < i of l_ij u_ji in the order of rows: everything is measured by the absolute terms
    of these sums, so that scales of rows do not matter.
    """
    pivots = np.abs(np.diagonal(packed))
    columns = np.arange(len(pivots))
    suspects = np.flatnonzero(pivots <= _SUSPICIOUS * pivots.max())
    left, above = np.abs(packed[suspects, : len(pivots)]), np.abs(packed[: len(pivots), suspects].T)
    eliminated = np.einsum("ij,ij->i", np.where(columns < suspects[:, None], left, 0.0), above)
    multiplied = np.einsum("ij,ji->i", np.abs(jacobian[order[suspects]]), np.abs(frame[:, suspects]))
    lost = suspects[pivots[suspects] <= _ROUNDING * _EPS * (eliminated + multiplied)]
    return np.where(np.isin(columns, lost), 0.0, pivots)


def log(values: Array) -> Array:
    """Natural logarithms, -inf for zeros."""
    with np.errstate(divide="ignore"):
        return np.log(values)
