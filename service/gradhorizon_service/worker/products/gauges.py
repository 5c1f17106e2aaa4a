"""Frames carried through a chain of Jacobians, orthonormalised as rarely as accuracy allows.

Any well-conditioned frames will do: with J_t F_{t-1} = F_t U_t, U_t upper triangular, the logarithms of the
diagonals of U_t add up, and the QR factorisations of the first and the last frame turn the sums into those
that QR at every step would have given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.linalg import blas

from .._types import Array
from .factors import Factors, RowScaled, Shifted
from .lu_gauges import LuGauge, TriangularLuGauge

# Up to these sizes stacked calls for all sequences beat a call for each, the cheapest and any other.
_TINY = 8
_SMALL = 32
# Columns are orthonormalised before their condition is expected to reach this, at the latest after so many
# steps.
_LOG_CONDITION = math.log(1e4)
_LONGEST_STRETCH = 64
# What a factorisation may find; the square of it is the condition of the Gram matrix.
_LARGEST_CONDITION = 1e6
# Frames may grow or shrink by this many nats in between; float64 ends at 709.
_LARGEST_GROWTH = 200.0

Orthonormaliser = Callable[[Array], tuple[Array, Array] | None]
"""Orthonormal frames for well-conditioned ones, and abs diag R, or None; may work in place."""


class Gauge(Protocol):
    """Frames (B, N, k) on their way through the factors, and how they are kept well conditioned."""

    frames: Array

    @property
    def name(self) -> str:
        """The algorithm in words."""
        ...

    @property
    def is_delicate(self) -> bool:
        """Whether pivots of one step have spanned so much that rounding may have cost the smallest directions."""
        ...

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1.

        Returns the sums (B, k) over these steps of ln abs diag R, as QR at every step gives them; -inf stands
        for a direction that the steps annihilate.
        """
        ...

    def narrowed(self, columns: int) -> Gauge:
        """What carries on with the first columns alone."""
        ...


def gauge_for(factors: Factors, frames: Array) -> Gauge:
    """The cheapest gauge for these factors and orthonormal frames."""
    columns = frames.shape[2]
    if 4 * columns <= factors.size and factors.size > _SMALL:
        return StretchGauge(factors, frames, _by_cholesky)
    if isinstance(factors, RowScaled | Shifted) and columns == factors.size and factors.size > _TINY:
        return TriangularLuGauge(factors, frames)
    if factors.size <= _SMALL:
        return StretchGauge(factors, frames, _by_householder)
    return LuGauge(factors, frames)


class StretchGauge:
    """Orthonormalises when the frames need it, not at every step: for few columns, or small matrices.

    How long they can do without is read from the last factorisation: the spread of its diagonal is the rate
    at which their condition grows. A stretch that went wrong is repeated step by step. From the first step
    on that is too much in itself, such as one with rows of very different scales, LU goes on: columns that are
    made orthonormal take rounding errors of the largest row's size into every row, and a small one is lost.
    """

    name = "QR when the condition of the frames requires it, LU from the first step that is too much for it"

    def __init__(self, factors: Factors, frames: Array, orthonormalise: Orthonormaliser) -> None:
        self.frames = frames
        self._factors = factors
        self._orthonormalise = orthonormalise
        self._stretch = 1
        self._successor: LuGauge | None = None

    def advance(self, first: int, last: int) -> Array:
        """Carry the frames through the steps first .. last - 1; the sums (B, k) of ln abs diag R."""
        sums, step = np.zeros((len(self.frames), self.frames.shape[2])), first
        while step < last and self._successor is None:
            length = min(self._stretch, last - step)
            diagonals = self._carry(step, length)
            if diagonals is not None:
                logs = np.log(diagonals)
                self._stretch = _next_stretch(logs, length)
                sums, step = sums + logs, step + length
            elif length > 1:
                self._stretch = 1
            else:
                sums += self._made_orthonormal()
                self._successor = LuGauge(self._factors, self.frames)
        if self._successor is None:
            return sums + self._made_orthonormal()
        sums += self._successor.advance(step, last)
        self.frames = self._successor.frames
        return sums

    def narrowed(self, columns: int) -> Gauge:
        """What carries on with the first columns alone: LU where LU has taken over."""
        if self._successor is not None:
            return self._successor.narrowed(columns)
        return gauge_for(self._factors, self.frames[:, :, :columns])

    @property
    def is_delicate(self) -> bool:
        """Whether LU goes on with steps that are too much for QR, and finds them too much for itself."""
        return self._successor is not None and self._successor.is_delicate

    def _carry(self, first: int, length: int) -> Array | None:
        """Some steps and a factorisation: abs diag R, or None and nothing done where that is too much."""
        frames = self.frames
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(first, first + length):
                frames = self._factors.times(step, frames)
            result = self._orthonormalise(frames) if np.isfinite(frames).all() else None
        if result is None or not np.all(result[1].min(axis=1) > result[1].max(axis=1) / _LARGEST_CONDITION):
            return None
        self.frames = result[0]
        return result[1]

    def _made_orthonormal(self) -> Array:
        """A Cholesky factorisation leaves frames as far from orthonormal as eps times the squared condition."""
        self.frames, triangles = np.linalg.qr(self.frames)
        return np.asarray(np.log(np.abs(np.diagonal(triangles, axis1=1, axis2=2))))


def _by_householder(frames: Array) -> tuple[Array, Array] | None:
    """Q and abs diag R, all sequences in one call."""
    frames, triangles = np.linalg.qr(frames)
    return frames, np.abs(np.diagonal(triangles, axis1=1, axis2=2))


def _by_cholesky(frames: Array) -> tuple[Array, Array] | None:
    """Q = Y R^-1 with R^T R = Y^T Y, in place, and diag R; None where Y^T Y is not positive definite."""
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
