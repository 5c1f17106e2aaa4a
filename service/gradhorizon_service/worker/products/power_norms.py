"""Norms of W^k v for a linear recurrence: at chosen steps by squaring, at every step by block Krylov.

Gradients of h_t = W h_{t-1} are the same quantity with the transposed matrix. Logarithms are natural; -inf is
exactly zero.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import numpy.typing as npt

from .._types import Array
from .coordinates import power_coordinates, reached_coordinates
from .ladders import PowerLadder, unit_rows

Steps = npt.NDArray[np.int64]

# A Krylov block this high, or this big in numbers per vector, makes the overhead of a call small.
_BLOCK_STEPS = 64
_BLOCK_NUMBERS = 4096


def log_norms_at(matrix: Array, vectors: Array, steps: Steps) -> Array:
    """ln norm(W^k v) for every k of ``steps`` and every row v of ``vectors`` (B, N): (len(steps), B).

    W^(2^j) is made once for each j and applied, as one product of matrices, to all k that have the bit j:
    log2(k) products whatever the steps are. Relative errors are about k * eps, as in a loop.
    """
    return log_norms_and_directions_at(matrix, vectors, steps)[0]


def log_norms_and_directions_at(matrix: Array, vectors: Array, steps: Steps) -> tuple[Array, Array]:
    """The log norms (len(steps), B) and with them the unit vectors W^k v / norm(W^k v) (len(steps), B, N)."""
    logs = np.full((len(steps), len(vectors)), -np.inf)
    directions = np.zeros((len(steps), *vectors.shape))
    for rows, coordinates in reached_coordinates(matrix, vectors):
        deepest = int(steps.max(initial=0))
        basis = power_coordinates(matrix[np.ix_(coordinates, coordinates)], deepest)
        units, log = unit_rows(basis.enter(vectors[np.ix_(rows, coordinates)]))
        units, log = np.tile(units, (len(steps), 1, 1)), np.tile(log, (len(steps), 1))
        for j in range(deepest.bit_length()):
            chosen = np.flatnonzero(steps >> j & 1)
            rung = basis.ladder.rung(j)
            moved, growth = unit_rows(_applied(rung.matrix, units[chosen]))
            units[chosen] = moved
            log[chosen] += growth + rung.log_scale
        logs[:, rows] = log
        directions[np.ix_(np.arange(len(steps)), rows, coordinates)] = basis.leave(units)
    return logs, directions


def log_norm_series(matrix: Array, vectors: Array, depth: int) -> Array:
    """ln norm(W^k v) for all k = 0 .. depth: (depth + 1, B), in about B N^2 multiplications a step."""
    logs = np.full((depth + 1, len(vectors)), -np.inf)
    for rows, coordinates in reached_coordinates(matrix, vectors):
        basis = power_coordinates(matrix[np.ix_(coordinates, coordinates)], depth)
        units, log = unit_rows(basis.enter(vectors[np.ix_(rows, coordinates)]))
        logs[:, rows] = log + krylov_log_norms(basis.ladder, units, depth)
    return logs


def krylov_log_norms(ladder: PowerLadder, units: Array, depth: int) -> Array:
    """Log growth (depth + 1, B) of unit rows (B, n) under W^k, k = 0 .. depth, W given by its ladder.

    The block [v, Wv, .. W^(b-1) v] is built by doubling and then moved on by W^b: products of matrices
    instead of ``depth`` products with vectors.
    """
    block, logs = units[None], np.zeros((1, len(units)))
    series = np.empty((depth + 1, len(units)))
    for j in count():
        if len(block) > depth or len(block) >= max(_BLOCK_STEPS, _BLOCK_NUMBERS // units.shape[-1]):
            break
        moved, growth = _advanced(ladder, j, block, logs)
        block, logs = np.concatenate([block, moved]), np.concatenate([logs, growth])
    width = len(block)
    for start in range(0, depth + 1, width):
        if start:
            block, logs = _advanced(ladder, width.bit_length() - 1, block, logs)
        series[start : start + width] = logs[: depth + 1 - start]
    return series


def median_over_batch(values: Array) -> Array:
    """The median over the last axis, the mean of the two middle values of an even number; -inf is the lowest."""
    ordered: Array = np.sort(values, axis=-1)
    size = ordered.shape[-1]
    return np.asarray(0.5 * (ordered[..., (size - 1) // 2] + ordered[..., size // 2]))


def _advanced(ladder: PowerLadder, j: int, block: Array, logs: Array) -> tuple[Array, Array]:
    rung = ladder.rung(j)
    moved, growth = unit_rows(_applied(rung.matrix, block))
    return moved, logs + growth + rung.log_scale


def _applied(matrix: Array, rows: Array) -> Array:
    """The matrix times every row of (..., N), as one product."""
    return (rows.reshape(-1, rows.shape[-1]) @ matrix.T).reshape(rows.shape)
