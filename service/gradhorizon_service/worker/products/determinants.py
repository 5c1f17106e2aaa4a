"""ln|det J_t| by an elimination of its own: what the pivots of a sweep must add up to, and which factors are singular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from .._types import Array

_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class LogDeterminant:
    """ln|det A|, -inf where A is singular to working precision, whatever the scales of its rows and columns."""

    value: float
    singular: bool


def log_determinant(matrix: Array) -> LogDeterminant:
    """Equilibrate A (N, N) by powers of two, then LU; a pivot below its own rounding errors means rank loss."""
    scaled, log_scale = _equilibrated(matrix)
    if scaled is None:
        return LogDeterminant(-np.inf, singular=True)
    packed, _, _ = lapack.dgetrf(scaled)
    pivots = np.abs(np.diagonal(packed))
    lower, upper = np.abs(np.tril(packed, -1)), np.abs(np.triu(packed))
    errors = 4 * len(matrix) * _EPS * (np.einsum("ij,ji->i", lower, upper) + pivots)
    if not np.all(pivots > errors):
        return LogDeterminant(-np.inf, singular=True)
    return LogDeterminant(float(np.log(pivots).sum() + log_scale), singular=False)


def _equilibrated(matrix: Array) -> tuple[Array | None, float]:
    """2^-r_i A 2^-c_j with entries of at most 1, one close to it in every row and column, and ln of what was taken out."""
    taken, scaled = 0, matrix
    for axis in (1, 0, 1, 0):
        peaks = np.abs(scaled).max(axis=axis, keepdims=True)
        if not peaks.all():
            return None, 0.0
        exponents = np.frexp(peaks)[1]
        scaled = np.ldexp(scaled, -exponents)
        taken += int(exponents.sum())
    return scaled, taken * float(np.log(2.0))
