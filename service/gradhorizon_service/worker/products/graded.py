"""Matrices diag(exp l) X whose rows differ by thousands of decades, and their singular values.

The logarithms l of the row scales and the unit rows X are kept apart, so that nothing over- or underflows.
Every operation is a sequence of row scalings and of orthogonal or triangular factorisations that respect
them, and so the smallest singular value has the same relative accuracy as the largest, unless the unit rows
are nearly dependent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from .._types import Array

# What one compiled call can take: exp(400) is 1e174, well inside the range of float64 on both sides.
_WIDEST_SPREAD = 400.0
# Two unit rows with cosine c, whose scales have the ratio r, move ln sigma by about c^2 / (1 - r^2 + c).
_NEGLIGIBLE = 1e-15
_SWEEPS = 3
_MAX_ROUNDS = 500


@dataclass(frozen=True, eq=False)
class GradedRows:
    """A stack of matrices diag(exp(log_scales)) @ rows: (S, r), and (S, r, N) of unit length or zero."""

    log_scales: Array
    rows: Array


def premultiplied(core: Array, graded: GradedRows) -> GradedRows:
    """C diag(exp l) X, regraded, for a stack C of shape (S, q, r).

    Each row of C diag(exp l) is divided by its largest entry while it is still a logarithm, so that only
    ratios of at most 1 meet X, in whatever order the scales come.
    """
    with np.errstate(divide="ignore"):
        weights = np.log(np.abs(core)) + graded.log_scales[:, None, :]
    peaks = weights.max(axis=-1, initial=-np.inf)
    peaks[peaks == -np.inf] = 0.0
    ratios = np.copysign(np.exp(weights - peaks[..., None]), core)
    return normalised(peaks, ratios @ graded.rows)


def normalised(log_scales: Array, rows: Array) -> GradedRows:
    """The same matrices with the lengths of the rows moved into the scales; a zero row has the scale -inf."""
    peaks = np.abs(rows).max(axis=-1, initial=0.0)  # first, since squares of large entries overflow
    rows = rows / np.where(peaks > 0.0, peaks, 1.0)[..., None]
    norms = np.sqrt(np.einsum("sij,sij->si", rows, rows))
    with np.errstate(divide="ignore"):
        scales = log_scales + np.log(peaks) + np.log(norms)
    return GradedRows(scales, rows / np.where(norms > 0.0, norms, 1.0)[..., None])


def log_singular_values_of_graded(graded: GradedRows) -> Array:
    """ln sigma of every matrix, (S, r), largest first; -inf for zero rows, NaN if entries are not finite."""
    return np.stack([_log_singular_values(l, X) for l, X in zip(graded.log_scales, graded.rows, strict=True)])


def _log_singular_values(l: Array, X: Array) -> Array:
    alive = l > -np.inf
    if not (np.isfinite(l[alive]).all() and np.isfinite(X[alive]).all()):
        return np.full(len(l), np.nan)
    values = _values(l[alive], X[alive])
    return np.concatenate([np.sort(values)[::-1], np.full(len(l) - len(values), -np.inf)])


def _values(l: Array, X: Array) -> Array:
    """ln sigma of one matrix without zero rows, in no order."""
    if len(l) <= 1:
        return l
    if np.ptp(l) <= _WIDEST_SPREAD:
        return _narrow(l, X)
    for _ in range(_SWEEPS):
        l, X = _swept(l, X)
    return _jacobi(l, X)


def _swept(l: Array, X: Array) -> tuple[Array, Array]:
    """One LQ and one QR step of diag(exp l) X = U diag(exp l') X' V: rows of different scale turn orthogonal.

    With X = L Q, diag(exp l) L = S diag(exp l), where S has the entries L_ij exp(l_i - l_j), all ratios <= 1
    once the scales descend; and with S = Q' R, R diag(exp l) = diag(exp l) X' in the same way.
    """
    order = np.argsort(-l, kind="stable")
    l, X = l[order], X[order]
    ratios = np.exp(np.tril(l[:, None] - l[None, :]))
    lower = np.asarray(np.linalg.qr(X.T, mode="r")).T
    upper = np.asarray(np.linalg.qr(lower * ratios, mode="r")) * ratios.T
    swept = normalised(l[None], upper[None])
    order = np.argsort(-swept.log_scales[0], kind="stable")
    return swept.log_scales[0, order], swept.rows[0, order]


def _couplings(l: Array, X: Array) -> tuple[Array, Array]:
    """The inner products of the unit rows, and how much each pair may still move a log singular value."""
    products = X @ X.T
    cosines = np.abs(products)
    np.fill_diagonal(cosines, 0.0)
    squared_ratios = np.exp(-2.0 * np.abs(l[:, None] - l[None, :]))
    return products, cosines**2 / (1.0 - squared_ratios + cosines + np.finfo(float).tiny)


def _narrow(l: Array, X: Array) -> Array:
    """Scales within the range of float64: LAPACK's one-sided Jacobi, which respects rows and columns.

    Drmac & Veselic, SIAM J. Matrix Anal. Appl. 29 (2008) 1322 and 1343.
    """
    top = l.max()
    columns = np.exp(l - top) * X.T
    sigma, _, _, scaling, _, _ = lapack.dgejsv(columns, joba=2, jobu=3, jobv=3, jobr=0, jobt=0, jobp=0)
    with np.errstate(divide="ignore"):
        values: Array = np.log(sigma) + np.log(scaling[0] / scaling[1]) + top
    return values


def _jacobi(l: Array, X: Array) -> Array:
    """Any scales: one-sided Jacobi that keeps them as logarithms.

    For two unit rows x, y with the ratio r <= 1 of their scales and the inner product g, the rotation is
    theta = 2g / ((1 - r^2) + sqrt((1 - r^2)^2 + 4 r^2 g^2)), x + theta r^2 y, y - theta x, both over
    sqrt(1 + theta^2 r^2). Disjoint pairs turn together, the strongest coupling first.
    """
    l, X = l.copy(), X.copy()
    for _ in range(_MAX_ROUNDS):
        products, couplings = _couplings(l, X)
        p, q = _disjoint_pairs(couplings)
        if len(p) == 0:
            return l
        p, q = np.where(l[p] >= l[q], p, q), np.where(l[p] >= l[q], q, p)
        g = products[p, q]
        r2 = np.exp(2.0 * (l[q] - l[p]))
        theta = 2.0 * g / ((1.0 - r2) + np.hypot(1.0 - r2, 2.0 * np.sqrt(r2) * g))
        x, y = X[p], X[q]
        turned = np.stack([x + (theta * r2)[:, None] * y, y - theta[:, None] * x])
        graded = normalised(l[np.stack([p, q])] - 0.5 * np.log1p(theta**2 * r2), turned)
        (l[p], l[q]), (X[p], X[q]) = graded.log_scales, graded.rows
    return np.full(len(l), np.nan)


def _disjoint_pairs(couplings: Array) -> tuple[Array, Array]:
    """A greedy matching of the rows that are still coupled."""
    p, q = np.nonzero(np.triu(couplings, 1) > _NEGLIGIBLE)
    free = [True] * len(couplings)
    chosen = []
    for k in np.argsort(-couplings[p, q], kind="stable").tolist():
        i, j = int(p[k]), int(q[k])
        if free[i] and free[j]:
            free[i] = free[j] = False
            chosen.append(k)
    return p[chosen], q[chosen]
