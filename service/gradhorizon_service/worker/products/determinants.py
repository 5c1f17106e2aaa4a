"""ln|det J_t| by an elimination of its own: what ln sigma must add up to, and which factors are singular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from .._types import Array
from .companion import Companion
from .factors import Factors, KnownDeterminants, Repeated, RowScaled

_EPS = float(np.finfo(float).eps)
# The pivots of a factor that is singular to working precision span more nats than this.
_SUSPICIOUS = 25.0
# Pivots this close together, of entries in range, leave no doubt whatever the scales of rows and columns.
_SURELY_REGULAR = 1e-6
_IN_RANGE = 1e100
# Of the other factors so many are looked at, evenly spaced; the rest is extrapolated.
_SAMPLES = 64


@dataclass(frozen=True, eq=False)
class Determinants:
    """Of every sequence, (B,): sum_t ln|det J_t|, and whether any J_t is singular to working precision."""

    log_sum: Array
    singular: Array


def log_determinant(matrix: Array) -> float | None:
    """ln|det A| of A (N, N), or None where A is singular to working precision.

    A is equilibrated first, so that neither depends on the scales of rows and columns, and a pivot below the
    rounding errors made on the way to it counts as zero.
    """
    pivots = np.abs(np.diagonal(lapack.dgetrf(matrix.T)[0]))
    largest, smallest = float(pivots.max()), float(pivots.min())
    if smallest > _SURELY_REGULAR * largest and 1.0 / _IN_RANGE < largest < _IN_RANGE:
        return float(np.log(pivots).sum())
    scaled, log_scale = _equilibrated(matrix)
    if scaled is None:
        return None
    packed, _, _ = lapack.dgetrf(scaled)
    pivots = np.abs(np.diagonal(packed))
    lower, upper = np.abs(np.tril(packed, -1)), np.abs(np.triu(packed))
    errors = 4 * len(matrix) * _EPS * (np.einsum("ij,ji->i", lower, upper) + pivots)
    return float(np.log(pivots).sum()) + log_scale if np.all(pivots > errors) else None


def _equilibrated(matrix: Array) -> tuple[Array | None, float]:
    """A with rows and columns scaled by powers of two to entries of about 1, and ln of what was taken out."""
    scaled, taken = matrix, 0
    for axis in (1, 0, 1, 0):
        peaks = np.abs(scaled).max(axis=axis, keepdims=True)
        if not peaks.all():
            return None, 0.0
        exponents = np.frexp(peaks)[1]
        # In two halves, because 2^1074 is no float64; a product with powers of two costs a tenth of ldexp.
        scaled = scaled * np.ldexp(1.0, -(exponents // 2)) * np.ldexp(1.0, exponents // 2 - exponents)
        taken += int(exponents.sum())
    return scaled, taken * float(np.log(2.0))


def explicit_determinants(factors: Factors) -> Determinants | None:
    """For diag(d_t) W and other factors that know theirs, without looking at any product; None for the rest."""
    if isinstance(factors, Companion):
        found, batch = explicit_determinants(factors.corner), (factors.batch,)
        assert found is not None, "a corner is diag(d_t) W"
        return Determinants(np.broadcast_to(found.log_sum, batch), np.broadcast_to(found.singular, batch))
    if isinstance(factors, KnownDeterminants):
        logs = factors.log_abs_dets()
        return Determinants(logs.sum(axis=0), np.asarray(np.isneginf(logs).any(axis=0)))
    if not isinstance(factors, RowScaled | Repeated):
        return None
    shared = log_determinant(factors.matrix)
    slopes = np.ones((1, 1, 1)) if isinstance(factors, Repeated) else np.abs(factors.slopes)
    singular = (slopes == 0.0).any(axis=(0, 2)) | (shared is None)
    with np.errstate(divide="ignore"):
        return Determinants(np.log(slopes).sum(axis=(0, 2)) + factors.steps * (shared or 0.0), singular)


def sampled_determinants(factors: Factors, log_pivots: Array, spreads: Array) -> Determinants:
    """From the pivots of a sweep, (T, B), corrected where some factors and all suspicious ones disagree."""
    T = factors.steps
    suspicious = ~(spreads <= _SUSPICIOUS)
    sampled = np.zeros(T, dtype=bool)
    sampled[np.linspace(0, T - 1, min(T, _SAMPLES)).round().astype(int)] = True
    excess = np.zeros_like(log_pivots)
    singular = np.zeros(factors.batch, dtype=bool)
    for step in np.flatnonzero(sampled | suspicious.any(axis=1)).tolist():
        matrices = factors.dense(step)
        for b in np.flatnonzero(sampled[step] | suspicious[step]).tolist():
            value = log_determinant(matrices[b])
            singular[b] |= value is None
            excess[step, b] = log_pivots[step, b] - (value or 0.0)
    ordinary = ~suspicious
    weights = np.where(
        ordinary, ordinary.sum(axis=0) / np.maximum((ordinary & sampled[:, None]).sum(axis=0), 1), 1.0
    )
    return Determinants((log_pivots - weights * excess).sum(axis=0), singular)
