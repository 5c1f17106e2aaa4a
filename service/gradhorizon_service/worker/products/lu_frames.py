"""Frames of column vectors factorised by LU, and how a chain of factors carries them from step to step.

J F = F' U with F' = P^T L from partial pivoting: F' is well conditioned, since |L| <= 1, and respects rows of
any scale. Arrays hold transposes, (S, N, N) for S matrices, because the transpose of a C-ordered array is in
LAPACK's order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from .._types import Array
from .factors import DenseFactors, Factors, Repeated, RowScaled

# From this size on, one BLAS call a matrix is faster than stacked products.
LARGE = 32


class Frames:
    """F = P^T L C of a stack A = F C^-1 U, in units C (R, N) of the columns for each of R runs.

    Factorised in place, the given A^T ends up with U^T in its lower triangles and L^T, without its unit
    diagonal, in the upper ones.
    """

    def __init__(self, transposes: Array, units: Array) -> None:
        self.packed = transposes
        self.units = units
        factorise = lapack.dgetrf if transposes.dtype == np.float64 else lapack.sgetrf
        self.pivots = [factorise(matrix.T, overwrite_a=True)[1] for matrix in transposes]

    def explicit(self) -> Array:
        """F^T, (B, R, N, N)."""
        mask, unit = _masks(self.packed.shape[-1], self.packed.dtype)
        lower: Array = self.packed * mask
        lower += unit
        interchange = lapack.dlaswp if lower.dtype == np.float64 else lapack.slaswp
        for frame, pivots in zip(lower, self.pivots, strict=True):
            interchange(frame.T, pivots, inc=-1, overwrite_a=True)
        frames = lower.reshape(-1, *self.units.shape, lower.shape[-1])
        frames *= self.units[..., None]
        return frames

    def permutations(self) -> list[Array]:
        """The order of the rows of A in L U, one for each matrix."""
        rows = _rows(self.packed.shape[-1])
        return [lapack.dlaswp(rows, pivots)[:, 0].astype(np.intp) for pivots in self.pivots]


@cache
def _rows(size: int) -> Array:
    return np.arange(float(size))[:, None]


@cache
def _masks(size: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The strict upper triangle and the identity, (N, N)."""
    return np.triu(np.ones((size, size), dtype), 1), np.eye(size, dtype=dtype)


Advance = Callable[[int, Frames, Array], None]
"""Writes (J F)^T of a step into an array (B * R, N, N), for R frames of each of B sequences."""


def advance_by(factors: Factors, dtype: type[np.floating[Any]]) -> Advance:
    """The fastest way for the given factors and images of the given type."""
    if factors.size < LARGE:
        return _multiplied(factors)
    if isinstance(factors, RowScaled | Repeated):
        shared = np.ascontiguousarray(factors.matrix.T, dtype)[None]
        slopes = factors.slopes if isinstance(factors, RowScaled) else None
        return _gathered(lambda _step: shared, slopes)
    if isinstance(factors, DenseFactors):
        tensor = factors.tensor
        return _gathered(lambda step: np.ascontiguousarray(tensor[step].swapaxes(-1, -2), dtype), None)
    return _multiplied(factors)


def first_images(factors: Factors, starts: Array, units: Array, images: Array) -> None:
    """Write (J F C)^T of the first step, for start frames F (R, N, N) that all sequences share."""
    frames = np.broadcast_to(starts.swapaxes(-1, -2) * units[..., None], (factors.batch, *starts.shape))
    _put(images, factors.times(0, _side_by_side(frames)))


def _multiplied(factors: Factors) -> Advance:
    """J F through the factors' own products."""

    def advance(step: int, frames: Frames, images: Array) -> None:
        _put(images, factors.times(step, _side_by_side(frames.explicit())))

    return advance


def _side_by_side(transposes: Array) -> Array:
    """Frames given as F^T, (B, R, N, N), next to each other, (B, N, R * N)."""
    B, R, N, _ = transposes.shape
    return transposes.transpose(0, 3, 1, 2).reshape(B, N, R * N)


def _put(images: Array, products: Array) -> None:
    """Store products (B, N, R * N) transposed, as (B * R, N, N)."""
    B, N, columns = products.shape
    R = columns // N
    images.reshape(B, R, N, N)[...] = products.reshape(B, N, R, N).transpose(0, 2, 3, 1)


def _gathered(transposes_at: Callable[[int], Array], slopes: Array | None) -> Advance:
    """J F = (J P^T) L C: a product with a triangle, in place, with half the flops and nothing to transpose.

    J = diag(d) A is given by the transposes of its A's, (B or 1, N, N), and slopes d (T, B, N).
    """

    def advance(step: int, frames: Frames, images: Array) -> None:
        transposes = transposes_at(step)
        runs = len(images) // len(transposes)
        multiply = blas.dtrmm if images.dtype == np.float64 else blas.strmm
        for k, order in enumerate(frames.permutations()):
            np.take(transposes[k // runs], order, axis=0, out=images[k])
            multiply(1.0, frames.packed[k].T, images[k].T, side=1, lower=1, diag=1, overwrite_b=True)
        stacked = images.reshape(-1, *frames.units.shape, images.shape[-1])
        if len(frames.units) > 1:  # a single run has units of 1
            stacked *= frames.units[..., None]
        if slopes is not None:
            stacked *= slopes[step][:, None, None, :]

    return advance
