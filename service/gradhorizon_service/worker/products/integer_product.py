"""Singular values of a product in integers of any length: slow, and as accurate as it is made.

The last resort for products that float64 cannot resolve, such as powers of a Jordan block, where a relative
error of 1e-16 in one factor changes the result beyond recognition. Doubles are integers times a power of two;
their product is formed with so many bits that the truncation no longer shows, and only its triangular factor
goes back to float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .factors import Factors, Repeated
from .graded import log_singular_values_of_graded, normalised

# Two precisions must agree to this, relative to max(1, abs(ln sigma)).
_AGREEMENT = 1e-11
_GUARD_BITS = 192
# An estimate for one precision; the next one takes about twice as long.
_MAX_SECONDS = 0.8


@dataclass(frozen=True, eq=False)
class _Scaled:
    """integers * 2^exponent, the integers an object array (N, N)."""

    integers: Array
    exponent: int

    def __matmul__(self, other: _Scaled) -> _Scaled:
        return _Scaled(self.integers @ other.integers, self.exponent + other.exponent)

    def truncated(self, bits: int) -> _Scaled:
        """The same to so many bits of the largest entry."""
        excess = max((abs(entry).bit_length() for entry in self.integers.flat), default=0) - bits
        return _Scaled(self.integers >> excess, self.exponent + excess) if excess > 0 else self


def log_singular_values_in_integers(factors: Factors, spread: float) -> Array | None:
    """ln sigma (N,) of the product of one sequence, largest first, or None where it would take too long.

    ``spread`` is about how many nats the singular values span.
    """
    if not math.isfinite(spread):
        return None
    bits = _GUARD_BITS + math.ceil(1.1 * spread / math.log(2.0))
    previous: Array | None = None
    while _seconds(factors, bits) <= _MAX_SECONDS:
        values = _log_singular_values(_product(factors, bits))
        if values is not None and previous is not None and _agree(values, previous):
            return values
        previous, bits = values, bits * 3 // 2
    return None


def _agree(values: Array, others: Array) -> bool:
    return bool(np.all(np.abs(values - others) <= _AGREEMENT * np.maximum(1.0, np.abs(values))))


def _seconds(factors: Factors, bits: int) -> float:
    """About how long one product takes, given the cost of a multiplication of 30-bit digits."""
    digits = bits / 30
    if isinstance(factors, Repeated):
        products, each = 2 * factors.steps.bit_length(), digits**1.6
    else:
        products, each = factors.steps, 2 * digits
    return float(factors.size**3 * (products * (250e-9 + 2.5e-9 * each) + 3 * 2.5e-9 * (3 * digits) ** 1.6))


def _product(factors: Factors, bits: int) -> _Scaled:
    if isinstance(factors, Repeated):
        return _power(_exact(factors.matrix), factors.steps, bits)
    product = _exact(factors.dense(0)[0])
    for step in range(1, factors.steps):
        product = (_exact(factors.dense(step)[0]) @ product).truncated(bits)
    return product


def _power(base: _Scaled, exponent: int, bits: int) -> _Scaled:
    """Binary powering, the highest bit first."""
    power = base
    for bit in bin(exponent)[3:]:
        power = (power @ power).truncated(bits)
        if bit == "1":
            power = (power @ base).truncated(bits)
    return power


def _exact(matrix: Array) -> _Scaled:
    mantissas, exponents = np.frexp(matrix)
    exponents = np.where(matrix != 0.0, exponents, exponents.max()) - 53
    lowest = int(exponents.min())
    integers = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
    return _Scaled(integers << (exponents - lowest).astype(object), lowest)


def _log_singular_values(product: _Scaled) -> Array | None:
    """By the pivoted L D L^T of A^T A, still in integers: then D^(1/2) L^T has well conditioned rows."""
    A = product.integers
    N = len(A)
    gram = A.T @ A
    log_scales, rows = np.empty(N), np.zeros((N, N))
    remaining = list(range(N))
    for k in range(N):
        pivot = max(remaining, key=lambda i: gram[i, i])
        square = gram[pivot, pivot]
        if square <= 0:  # fewer bits than the product spans
            return None
        log_scales[k] = 0.5 * math.log(square) + product.exponent * math.log(2.0)
        rows[k, remaining] = [gram[pivot, j] / square for j in remaining]
        remaining.remove(pivot)
        shift = 2 * square.bit_length()
        row = gram[pivot, remaining] * ((1 << shift) // square)
        gram[np.ix_(remaining, remaining)] -= np.outer(gram[pivot, remaining], row) >> shift
    return np.asarray(log_singular_values_of_graded(normalised(log_scales[None], rows[None]))[0])
