"""J F = F' C without the directions that J annihilates: a factorisation that finds the rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, qr, solve_triangular

from .._types import Array

_EPS = float(np.finfo(float).eps)
# Rows whose rounding errors differ by more than a factor 1000 are of different scale.
_GRADED = float(np.log(1e3))


def rounding_errors(J: Array, frame: Array, size: int) -> Array:
    """8 N eps (|J| |F|), N the size of the problem: an entry of J F below it may be zero."""
    return 8 * size * _EPS * (np.abs(J) @ np.abs(frame))


@dataclass(frozen=True, eq=False)
class Compression:
    """Y = F C with a well conditioned frame F (n, r) and C (r, m), both of rank r, the rank of Y.

    ``spread`` is the logarithm of the ratio of the largest entry of C to its smallest pivot.
    """

    frame: Array
    core: Array
    spread: float


def compressed(Y: Array, errors: Array) -> Compression:
    """Factorise Y (n, m) whose entries may be wrong by ``errors`` (n, m).

    Rows and columns are scaled until their largest errors are 1, and the pivots of a pivoted QR that then
    exceed 1 count as rank: a test that is blind to the scales of Y itself. Columns come in the order of their
    growth, and keep it; where some depend on others, the later ones are left out. Raises OverflowError for what is no
    float64: factors of 1e300 times frames may be none.
    """
    if not (np.isfinite(errors).all() and np.isfinite(Y).all()):
        raise OverflowError("a product of Jacobians is no float64")
    row_errors = errors.max(axis=1, keepdims=True, initial=0.0)
    empty, row_errors = bool((row_errors == 0.0).any()), _positive(row_errors)
    column_errors = _positive((errors / row_errors).max(axis=0, initial=0.0))
    # QR would fill rows of zeros with rounding.
    graded = empty or np.ptp(np.log(row_errors)) > _GRADED
    scaled = Y / (row_errors if graded else row_errors.max()) / column_errors
    Q, R, _ = qr(scaled, mode="economic", pivoting=True, check_finite=False)
    rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > 1.0))
    if rank == 0:
        return Compression(np.zeros((len(Y), 0)), np.zeros((0, Y.shape[1])), 0.0)
    columns = _leading_columns(scaled, rank)
    return _by_lu(Y, columns) if graded else _by_qr(Y, columns, Q[:, :rank])


def _leading_columns(Y: Array, rank: int) -> Array:
    """The columns furthest from the span of those before them, in their order."""
    distances = np.zeros(Y.shape[1])
    diagonal = np.abs(np.diagonal(np.asarray(np.linalg.qr(Y, mode="r"))))
    distances[: len(diagonal)] = diagonal
    return np.sort(np.argsort(-distances, kind="stable")[:rank])


def _positive(values: Array) -> Array:
    """The values, zeros replaced by the smallest other value."""
    return (
        np.where(values > 0.0, values, values[values > 0.0].min()) if values.any() else np.ones_like(values)
    )


def _by_qr(Y: Array, columns: Array, basis: Array) -> Compression:
    """Orthonormal columns in the range of Y, against which the next loss of rank shows best."""
    coordinates = basis.T @ Y
    Q, R = np.linalg.qr(coordinates[:, columns])
    core = Q.T @ coordinates
    core[:, columns] = R
    return _compression(basis @ Q, core, columns)


def _by_lu(Y: Array, columns: Array) -> Compression:
    """P^T L of the chosen columns, which respects rows of any scale, and leaves those of zeros as they are."""
    n, r = len(Y), len(columns)
    packed, pivots, _ = lapack.dgetrf(Y[:, columns])
    lower = np.tril(packed, -1) + np.eye(n, r)
    rows = lapack.dlaswp(np.arange(float(n))[:, None], pivots)[:r, 0].astype(np.intp)
    # C solves L C = P Y in the r rows that hold the pivots; the other rows agree with it up to rounding.
    core = solve_triangular(lower[:r], Y[rows], lower=True, unit_diagonal=True, check_finite=False)
    core[:, columns] = np.triu(packed[:r])
    return _compression(lapack.dlaswp(np.asfortranarray(lower), pivots, inc=-1), core, columns)


def _compression(frame: Array, core: Array, columns: Array) -> Compression:
    pivots = np.abs(np.diagonal(core[:, columns]))
    with np.errstate(divide="ignore"):
        spread = np.log(np.abs(core).max()) - np.log(pivots.min()) if len(core) else 0.0
    return Compression(frame, core, float(spread))
