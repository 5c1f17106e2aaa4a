"""The 2-norm of one scaled matrix, exactly or by Lanczos steps."""

from __future__ import annotations

import math

import numpy as np

from .._types import Array
from .ladders import ScaledPower

# From this size on a few dozen products with vectors cost less than one product of matrices and its
# eigenvalues.
LARGE = 96
_MOST_ITERATIONS = 60
_RESIDUAL = 1e-10


def log_spectral_norm(power: ScaledPower) -> float:
    """ln norm2, through the largest eigenvalue of the Gram matrix; -inf for zero."""
    if not power.matrix.any():
        return -math.inf
    gram = power.matrix.T @ power.matrix
    return 0.5 * math.log(np.linalg.eigvalsh(gram)[-1]) + power.log_scale


def quick_log_spectral_norm(power: ScaledPower) -> float:
    """The same for many matrices in a row: by Lanczos steps where they are large and converge.

    Steps end when an eigenvalue of the Gram matrix lies within 1e-10 of the largest Ritz value, relatively.
    The distance itself is usually the square of that; the largest eigenvalue is missed only by a start that
    is orthogonal to its vector.
    """
    if len(power.matrix) < LARGE or not power.matrix.any():
        return log_spectral_norm(power)
    largest = _largest_ritz_value(power.matrix)
    return log_spectral_norm(power) if largest is None else 0.5 * math.log(largest) + power.log_scale


def _largest_ritz_value(matrix: Array) -> float | None:
    """The largest eigenvalue of M^T M, by Lanczos with full reorthogonalisation; None if not converged."""
    size = matrix.shape[1]
    start = np.random.default_rng(0).standard_normal(size)
    basis = np.zeros((_MOST_ITERATIONS + 1, size))
    basis[0] = start / np.linalg.norm(start)
    tridiagonal = np.zeros((_MOST_ITERATIONS + 1, _MOST_ITERATIONS + 1))
    transposed = matrix.T
    for k in range(_MOST_ITERATIONS):
        vector = transposed @ (matrix @ basis[k])
        tridiagonal[k, k] = basis[k] @ vector
        known = basis[: k + 1]
        vector -= known.T @ (known @ vector)
        vector -= known.T @ (known @ vector)
        rest = float(np.linalg.norm(vector))
        if k % 4 == 3 or rest == 0.0:
            values, vectors = np.linalg.eigh(tridiagonal[: k + 1, : k + 1])
            if rest * abs(vectors[-1, -1]) <= _RESIDUAL * values[-1]:
                return float(values[-1])
        tridiagonal[k, k + 1] = tridiagonal[k + 1, k] = rest
        basis[k + 1] = vector / rest
    return None
