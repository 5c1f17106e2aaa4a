"""Singular values of products in as many digits as it takes: what float64 kernels are compared with."""

from __future__ import annotations

from collections.abc import Iterable

import mpmath
import numpy as np

from cases import Array


def log_singular_values_of_product(factors: Iterable[Array], digits: int) -> Array:
    """ln sigma of J_T .. J_1, largest first, -inf for what the digits do not tell from zero."""
    with mpmath.workdps(digits):
        product = None
        for factor in factors:
            J = mpmath.matrix(factor.tolist())
            product = J if product is None else J * product
        return _log_singular_values(product, digits)


def log_singular_values_of_power(W: Array, exponent: int, digits: int) -> Array:
    """The same for W^T, by squaring."""
    with mpmath.workdps(digits):
        return _log_singular_values(mpmath.matrix(W.tolist()) ** exponent, digits)


def _log_singular_values(matrix: mpmath.matrix, digits: int) -> Array:
    sigma = sorted(mpmath.svd(matrix, compute_uv=False), reverse=True)
    noise = sigma[0] * mpmath.mpf(10) ** (20 - digits)
    return np.array([float(mpmath.log(value)) if value > noise else -np.inf for value in sigma])
