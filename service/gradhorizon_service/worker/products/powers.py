"""Powers of one matrix and sums of products of powers, at any depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .coordinates import power_coordinates
from .ladders import ScaledPower, scaled


@dataclass(frozen=True, eq=False)
class PowerSum:
    """A sum of products of powers, and how much of it cancelled.

    ``cancellation`` adds up, over the doublings, ln((norm of one half + norm of the other) / norm of their
    sum), in nats: a relative rounding error eps in the terms can have grown to eps * exp(cancellation) in the
    sum. Infinite where a sum cancelled to zero.
    """

    value: ScaledPower
    cancellation: float


def power(matrix: Array, p: int) -> ScaledPower:
    """W^p for p >= 0, by squaring: about 2 log2(p) products of matrices."""
    coordinates = power_coordinates(matrix, p)
    inner = coordinates.ladder.power(p)
    if coordinates.frame is None:
        return inner
    return scaled(coordinates.frame @ inner.matrix @ coordinates.frame.T, inner.exponent)


def power_sum(a: Array, x: Array, b: Array, p: int) -> PowerSum:
    """The sum over k = 0 .. p-1 of A^k X B^(p-1-k), by doubling: S_2q = A^q S_q + S_q B^q.

    With A = B = W^T and X the sum of g h_0^T over the batch, this is dL/dW of the recurrence h_t = W h_{t-1}
    over p steps, in about log2(p) doublings instead of p outer products.
    """
    of_a, of_b = power_coordinates(a, p), power_coordinates(b, p)
    term = scaled(of_b.enter(of_a.enter(x.T).T))
    total, cancellation = _doubled(of_a.ladder.rung(0), term, of_b.ladder.rung(0), p)
    value = of_b.leave(of_a.leave(total.matrix.T).T)
    return PowerSum(ScaledPower(value, total.exponent), cancellation)


def _doubled(a: ScaledPower, x: ScaledPower, b: ScaledPower, p: int) -> tuple[ScaledPower, float]:
    """The sum and its cancellation; p is built up from its highest binary digit: q -> 2 q, then q -> q + 1."""
    total, cancellation = ScaledPower(np.zeros_like(x.matrix), 0), 0.0
    left, right = scaled(np.eye(len(a.matrix))), scaled(np.eye(len(b.matrix)))
    for digit in f"{p:b}":
        total, lost = _added(left @ total, total @ right)
        left, right, cancellation = left @ left, right @ right, cancellation + lost
        if digit == "1":
            total, lost = _added(a @ total, x @ right)
            left, right, cancellation = left @ a, right @ b, cancellation + lost
    return total, cancellation


def _added(first: ScaledPower, second: ScaledPower) -> tuple[ScaledPower, float]:
    """The sum of two scaled matrices, and the nats that cancelled in it."""
    if not first.matrix.any():
        return second, 0.0
    if not second.matrix.any():
        return first, 0.0
    exponent = max(first.exponent, second.exponent)
    # Below -3000 nothing is left of a mantissa, and ldexp takes 32-bit exponents only.
    one = np.ldexp(first.matrix, max(first.exponent - exponent, -3000))
    two = np.ldexp(second.matrix, max(second.exponent - exponent, -3000))
    total = one + two
    before, after = np.linalg.norm(one) + np.linalg.norm(two), np.linalg.norm(total)
    return scaled(total, exponent), math.log(before / after) if after > 0.0 else math.inf
