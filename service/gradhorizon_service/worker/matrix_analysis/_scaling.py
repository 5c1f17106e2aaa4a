"""Exact scaling by powers of two, so that squares inside a kernel neither overflow nor vanish."""

from __future__ import annotations

import math

import numpy as np

from .._types import Array

EPSILON = float(np.finfo(np.float64).eps)


def unit_scaled(matrix: Array) -> tuple[Array, int]:
    """`scaled`, with entries of at most 1, and `exponent`, with matrix = scaled * 2^exponent."""
    _, exponent = math.frexp(float(np.max(np.abs(matrix), initial=0.0)))
    return np.ldexp(matrix, -exponent), exponent


def unscaled(value: float, exponent: int) -> float:
    """value * 2^exponent, infinite where float64 cannot hold it."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def frobenius_norm(matrix: Array) -> float:
    """The root of the sum of squares, without their overflow."""
    largest = float(np.max(np.abs(matrix), initial=0.0))
    return largest * float(np.linalg.norm(matrix / largest)) if largest > 0.0 else 0.0
