"""Singular values of products in as many digits as it takes: what float64 kernels are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


_PRIME = 67108859
"""Products of two remainders, and sums of 64 of them, fit in 64 bits."""


def rank_of_product(factors: Sequence[Array]) -> int:
    """Exact but for a chance of one in a million: entries are fractions, and what they leave modulo a prime."""
    product = np.eye(len(factors[0]), dtype=np.int64)
    for factor in factors:
        product = np.array([[_remainder(x) for x in row] for row in factor.tolist()]) @ product % _PRIME
    rank = 0
    for column in range(len(product)):
        below = np.flatnonzero(product[rank:, column])
        if len(below) == 0:
            continue
        pivot = rank + below[0]
        product[[rank, pivot]] = product[[pivot, rank]]
        product[rank] = product[rank] * pow(int(product[rank, column]), -1, _PRIME) % _PRIME
        others = np.arange(len(product)) != rank
        product[others] -= product[others, column, None] * product[rank] % _PRIME
        product[others] %= _PRIME
        rank += 1
    return rank


def _remainder(x: float) -> int:
    numerator, denominator = x.as_integer_ratio()
    return numerator * pow(denominator, -1, _PRIME) % _PRIME
