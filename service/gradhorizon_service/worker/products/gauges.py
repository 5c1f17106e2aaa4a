"""Frames carried through a chain of Jacobians, orthonormal at the ends of a block of steps and cheaper in between.

Any well-conditioned frames will do: with J_t F_{t-1} = F_t U_t, U_t upper triangular, the logarithms of the diagonals of
U_t add up, and one QR factorisation of the last frame turns the sums into those that QR at every step would have given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.linalg import blas

from .._types import Array
from .factors import Factors, RowScaled
from .lu_gauges import LuGauge, TriangularLuGauge, orthonormal

# Up to this size stacked calls for all sequences beat a call for each.
_SMALL = 32
# Columns are orthonormalised anew before their condition is expected to reach this, at the latest after so many steps.
_LOG_CONDITION = math.log(1e4)
_LONGEST_STRETCH = 64
# What a factorisation may find; the square of it is the condition of the Gram matrix.
_LARGEST_CONDITION = 1e6
# Frames may grow or shrink by this many nats in between; float64 ends at 709.
_LARGEST_GROWTH = 200.0


Orthonormaliser = Callable[[Array], tuple[Array, Array] | None]
"""Orthonormal frames for well-conditioned ones, and the diagonals of R, or None; may work in place."""


class Gauge(Protocol):
    """A way to carry orthonormal frames (B, N, k) through a block of steps."""

    @property
    def name(self) -> str:
        """The algorithm in words."""
        ...

    def advance(self, frames: Array, first: int, last: int) -> tuple[Array, Array]:
        """The orthonormal frames after steps first .. last - 1, and the sums (B, k) of ln abs diag R over them.

        -inf stands for a direction that these steps annihilate.
        """
        ...


def gauge_for(factors: Factors, columns: int) -> Gauge:
    """The cheapest gauge for these factors and so many columns."""
    if factors.size <= _SMALL:
        return StretchGauge(factors, _by_householder)
    if 4 * columns <= factors.size:
        return StretchGauge(factors, _by_cholesky)
    if isinstance(factors, RowScaled) and columns == factors.size:
        return TriangularLuGauge(factors)
    return LuGauge(factors)


class StretchGauge:
    """Orthonormalises when the frames need it, not at every step: for few columns, or small matrices.

    How long they can do without is read from the last factorisation: the spread of its diagonal is the rate at which
    their condition grows. A stretch that went wrong is repeated step by step, and a step that is too much in itself,
    such as one with rows of very different scales, is left to LU.
    """

    name = "QR when the condition of the frames requires it"

    def __init__(self, factors: Factors, orthonormalise: Orthonormaliser) -> None:
        self._factors = factors
        self._orthonormalise = orthonormalise
        self._careful = LuGauge(factors)
        self._stretch = 1

    def advance(self, frames: Array, first: int, last: int) -> tuple[Array, Array]:
        """The frames after steps first .. last - 1, and the sums of ln abs diag R."""
        sums, step = np.zeros((len(frames), frames.shape[2])), first
        while step < last:
            length = min(self._stretch, last - step)
            result = self._carried(frames, step, length)
            if result is None and length > 1:
                self._stretch = 1
                continue
            if result is None:
                frames, logs = self._careful.advance(frames, step, step + 1)
            else:
                frames, diagonals = result
                logs = np.log(diagonals)
                self._stretch = _next_stretch(logs, length)
            sums, step = sums + logs, step + length
        return orthonormal(frames, sums)

    def _carried(self, frames: Array, first: int, length: int) -> tuple[Array, Array] | None:
        """The frames some steps later and abs diag R; None where these span too much, or left float64 on the way."""
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(first, first + length):
                frames = self._factors.times(step, frames)
            result = self._orthonormalise(frames) if np.isfinite(frames).all() else None
        if result is None or not np.all(result[1].min(axis=1) > result[1].max(axis=1) / _LARGEST_CONDITION):
            return None
        return result


def _by_householder(frames: Array) -> tuple[Array, Array] | None:
    """Q and abs diag R, all sequences in one call."""
    frames, triangles = np.linalg.qr(frames)
    return frames, np.abs(np.diagonal(triangles, axis1=1, axis2=2))


def _by_cholesky(frames: Array) -> tuple[Array, Array] | None:
    """Q = Y R^-1 with R^T R = Y^T Y, in place, and diag R; None where the Gram matrix is not positive in float64."""
    grams = frames.swapaxes(1, 2) @ frames
    if not np.isfinite(grams).all():
        return None
    try:
        triangles = np.linalg.cholesky(grams)
    except np.linalg.LinAlgError:
        return None
    for frame, triangle in zip(frames, triangles, strict=True):
        blas.dtrsm(1.0, triangle, frame.T, lower=1, overwrite_b=1)
    return frames, np.diagonal(triangles, axis1=1, axis2=2)


def _next_stretch(logs: Array, length: int) -> int:
    """How many steps the frames can do before the next factorisation, going by the last one."""
    spread = float((logs.max(axis=1) - logs.min(axis=1)).max()) / length
    growth = float(np.abs(logs).max()) / length
    affordable = min(_LOG_CONDITION / max(spread, 1e-3), _LARGEST_GROWTH / max(growth, 1e-3))
    return max(1, min(int(affordable), _LONGEST_STRETCH))
