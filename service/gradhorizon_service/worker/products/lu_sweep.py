"""Carrying frames through a chain of factors by LU, and the triangular product they leave behind.

From a start frame F_0 the sweep forms J_t F_{t-1} = F_t U_t with F_t = P^T L from partial pivoting. F_t stays well
conditioned (|L| <= 1) and U_t is upper triangular, so J_T .. J_1 F_0 = F_T U_T .. U_1. LU costs less than QR and
respects rows of any scale, such as the factors of a saturated network have; a triangular product keeps its grading,
and can be accumulated as diag(exp l) X without mixing large and small. With a random orthogonal F_0 no direction
is missed, whatever subspaces the factors leave invariant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import blas, lapack

from .._types import Array
from .factors import DenseFactors, Factors, Repeated, RowScaled
from .graded import GradedRows, premultiplied

# Triangles are regraded a block of steps at a time: few calls for small ones, and bounded storage for large ones.
_BLOCK = 32
_BLOCK_BYTES = 64e6
# Inside a block they are multiplied as they are, while their diagonals together span at most so many nats.
_WIDEST_SPREAD = 300.0
# Relative errors put into the perturbed product: far above rounding, far below anything nonlinear.
PERTURBATION = 1e-9
# From this size on, one BLAS call a matrix is faster than stacked products.
_LARGE = 32


_Advance = Callable[[int, "_Frames", Array], None]
"""Writes (J F)^T of a step, for every sequence and run, into an array (B * R, N, N)."""


def random_starts(size: int, runs: int) -> Array:
    """Orthogonal frames drawn with a fixed seed, (runs, N, N)."""
    return np.linalg.qr(np.random.default_rng(20).standard_normal((runs, size, size)))[0]


@dataclass(frozen=True, eq=False)
class Sweep:
    """J_T .. J_1 F_0 up to an orthogonal matrix on its left: a stack (B * R, N, N) for B sequences and R start frames.

    ``perturbed`` is the same product after relative errors of PERTURBATION in the frames of some steps. Of each step, (T, B * R),
    ``log_pivots`` is sum_i ln|u_ii|, which is ln|det J_t|, and ``spreads`` is ln max|u_ii| - ln min|u_ii|. ``growth``, (B * R, N), is
    sum_t ln|u_ii|, and ``reversals``, (B * R,), the most nats by which a direction that fell behind another catches up again.
    """

    product: GradedRows
    perturbed: GradedRows
    log_pivots: Array
    spreads: Array
    growth: Array
    reversals: Array


def sweep(factors: Factors, starts: Array) -> Sweep:
    """Carry the start frames (R, N, N) through all steps."""
    stack, N = factors.batch * len(starts), factors.size
    triangles = _Triangles(stack, N)
    advance = _gathered(factors) if N >= _LARGE else _multiplied(factors)
    frames: _Frames | None = None
    block = int(np.clip(_BLOCK_BYTES // (8 * stack * N * N), 1, _BLOCK))
    buffers = np.empty((2, min(block, factors.steps), stack, N, N))
    for index, first in enumerate(range(0, factors.steps, block)):
        # Two buffers in turn: the last frames of one block lie in its buffer while the next block begins.
        packed = buffers[index % 2][: factors.steps - first]
        for step, images in enumerate(packed, start=first):
            if frames is None:
                _put(images, factors.times(step, _side_by_side(starts[None].swapaxes(-1, -2), factors.batch)))
            else:
                advance(step, frames, images)
            frames = _Frames(images)
        triangles.absorb(packed)
    last = np.tile(starts, (factors.batch, 1, 1)) if frames is None else frames.lower().swapaxes(-1, -2)
    return triangles.finished(np.linalg.qr(last, mode="r"))


def _multiplied(factors: Factors) -> _Advance:
    """J F through the factors' own products."""

    def advance(step: int, frames: _Frames, images: Array) -> None:
        explicit = frames.explicit()
        stacked = explicit.reshape(factors.batch, -1, *explicit.shape[1:])
        _put(images, factors.times(step, _side_by_side(stacked, factors.batch)))

    return advance


def _side_by_side(transposes: Array, batch: int) -> Array:
    """Frames given as F^T (B, R, N, N), as (B, N, R * N)."""
    B, R, N, _ = transposes.shape
    frames = transposes.transpose(0, 3, 1, 2).reshape(B, N, R * N)
    return frames if B == batch else np.broadcast_to(frames, (batch, N, R * N))


def _put(images: Array, products: Array) -> None:
    """Store products (B, N, R * N) transposed, as (B * R, N, N)."""
    B, N, columns = products.shape
    R = columns // N
    images.reshape(B, R, N, N)[...] = products.reshape(B, N, R, N).transpose(0, 2, 3, 1)


def _gathered(factors: Factors) -> _Advance:
    """J F = (J P^T) L for explicit Jacobians: a product with a triangle, half the flops and nothing to transpose."""
    if isinstance(factors, RowScaled | Repeated):
        shared = np.ascontiguousarray(factors.matrix.T)[None]
    elif not isinstance(factors, DenseFactors):
        return _multiplied(factors)

    def advance(step: int, frames: _Frames, images: Array) -> None:
        transposes = _transposes(factors, step) if isinstance(factors, DenseFactors) else shared
        runs = len(images) // len(transposes)
        lowers = zip(images, frames.packed, frames.permutations(), strict=True)
        for k, (image, lower, order) in enumerate(lowers):
            np.take(transposes[k // runs], order, axis=0, out=image)
            blas.dtrmm(1.0, lower.T, image.T, side=1, lower=1, diag=1, overwrite_b=True)
        if isinstance(factors, RowScaled):
            stacked = images.reshape(factors.batch, -1, *images.shape[1:])
            stacked *= factors.slopes[step][:, None, None, :]

    return advance


def _transposes(factors: DenseFactors, step: int) -> Array:
    return np.ascontiguousarray(factors.tensor[step].swapaxes(-1, -2))


class _Frames:
    """F = P^T L for a stack of matrices given as A^T, (S, N, N), and factorised in place.

    Transposed, the arrays are in the order LAPACK works in. Afterwards their lower triangles hold U^T, their strict upper
    triangles L^T.
    """

    def __init__(self, transposes: Array) -> None:
        self.packed = transposes
        self.pivots = [lapack.dgetrf(matrix.T, overwrite_a=True)[1] for matrix in transposes]

    def lower(self) -> Array:
        """L^T, unit diagonal included."""
        return _unit_lower(self.packed)

    def explicit(self) -> Array:
        """F^T."""
        frames = self.lower()
        for frame, pivots in zip(frames, self.pivots, strict=True):
            lapack.dlaswp(frame.T, pivots, inc=-1, overwrite_a=True)
        return frames

    def permutations(self) -> list[Array]:
        """The order of the rows of A in L U, one for each matrix."""
        rows = np.arange(float(self.packed.shape[-1]))[:, None]
        return [lapack.dlaswp(rows, pivots)[:, 0].astype(np.intp) for pivots in self.pivots]


def _unit_lower(packed: Array) -> Array:
    """L^T from packed triangles (S, N, N)."""
    mask, unit = _masks(packed.shape[-1])
    lower = packed * mask
    lower += unit
    return lower


@cache
def _masks(size: int) -> tuple[Array, Array]:
    """The strict upper triangle and the identity, (N, N)."""
    return np.triu(np.ones((size, size)), 1), np.eye(size)


class _Triangles:
    """The triangular product so far and, beside it, what becomes of it when the frames are perturbed.

    Rounding errors are relative errors in the entries of the frames, F + F o E: errors that leave the triangular
    form and that later steps may amplify. The second product suffers larger ones on purpose, at the end of every block:
    the distance of its singular values measures how sensitive they are, for a few percent of the work.
    """

    def __init__(self, stack: int, size: int) -> None:
        unit = np.broadcast_to(np.eye(size), (stack, size, size))
        self._product = self._perturbed = GradedRows(np.zeros((stack, size)), unit)
        self._frames = unit
        self._random = np.random.default_rng(30)
        self._log_pivots: list[Array] = []
        self._spreads: list[Array] = []
        self._growth: list[Array] = []

    def absorb(self, packed: Array) -> None:
        """Take up triangles (k, S, N, N) that hold U_1^T, U_2^T, .. below and L_1^T, L_2^T, .. above the diagonal."""
        diagonals = np.abs(np.einsum("ksii->ksi", packed))
        # A single step is taken as it is: it may span more than what division by its peak would leave.
        peaks = np.where(diagonals.any(axis=2) & (len(packed) > 1), diagonals.max(axis=2), 1.0)
        with np.errstate(all="ignore"):
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
        log_peaks = np.log(peaks).sum(axis=0)[:, None]
        self._product = _grown(product.swapaxes(-1, -2), log_peaks, self._product)
        self._absorb_perturbed(product, log_peaks, packed[-1])

    def _absorb_perturbed(self, product: Array, log_peaks: Array, last: Array) -> None:
        frames = _Frames(np.matmul(self._frames, product))
        self._perturbed = _grown(np.tril(frames.packed).swapaxes(-1, -2), log_peaks, self._perturbed)
        # (F + F o E) (F' in the coordinates of F): F^-1 (F + F o E) F' = F' + L^-1 (L o E) F', whatever the order of rows.
        lower = _unit_lower(last).swapaxes(-1, -2)
        errors = PERTURBATION * self._random.standard_normal(lower.shape[1:]) * lower
        explicit = frames.explicit().swapaxes(-1, -2)
        self._frames = (explicit + np.linalg.solve(lower, errors @ explicit)).swapaxes(-1, -2)

    def finished(self, core: Array) -> Sweep:
        """Both products with a last factor (S, N, N) on the left."""
        perturbed_core = np.linalg.qr(core @ self._frames.swapaxes(-1, -2), mode="r")
        return Sweep(
            premultiplied(core, self._product),
            premultiplied(perturbed_core, self._perturbed),
            np.concatenate(self._log_pivots),
            np.concatenate(self._spreads),
            np.sum(self._growth, axis=0),
            _reversals(np.stack(self._growth)),
        )


def _reversals(growth: Array) -> Array:
    """max over t and i < j of (growth of j minus growth of i, from t to the end), from log pivots (blocks, S, N)."""
    with np.errstate(invalid="ignore"):
        remaining = np.cumsum(growth[::-1], axis=0)
        return (remaining - np.minimum.accumulate(remaining, axis=2)).max(axis=(0, 2))


def _grown(core: Array, log_scale: Array, graded: GradedRows) -> GradedRows:
    """exp(log_scale) C diag(exp l) X."""
    regraded = premultiplied(core, graded)
    return GradedRows(regraded.log_scales + log_scale, regraded.rows)


def _triangular_product(packed: Array, peaks: Array) -> Array:
    """The products of U_t^T / peak_t, t = 1 .. k: lower triangles (S, N, N)."""
    if packed.shape[-1] < _LARGE:
        triangles = np.tril(packed) / peaks[..., None, None]
        while len(triangles) > 1:
            pairs = triangles[: len(triangles) // 2 * 2]
            triangles = np.concatenate([pairs[::2] @ pairs[1::2], triangles[len(pairs) :]])
        return triangles[0]
    product = np.tril(packed[0]) / peaks[0, :, None, None]
    for triangles, scales in zip(packed[1:], peaks[1:], strict=True):
        for accumulated, triangle, scale in zip(product, triangles, scales, strict=True):
            blas.dtrmm(1.0 / scale, triangle.T, accumulated.T, lower=0, overwrite_b=True)
    return product
