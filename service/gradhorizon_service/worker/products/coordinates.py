"""Coordinates in which powers of a matrix can be squared without losing digits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.linalg import schur
from scipy.sparse.csgraph import connected_components

from .._types import Array
from .ladders import PowerLadder

Indices = npt.NDArray[np.intp]

# Measured against long double loops over 60 matrices: below it squaring is good to 1e-10 at 2000 steps; above
# it the error grows like the fourth power of the eigenvectors' condition, to 100 % at 1e7, and in Schur form
# like the second.
_LARGEST_EXCESS = 4.5
# Rungs beyond this one are rarely worse than those before.
_TESTED_DOUBLINGS = 12


@dataclass(frozen=True, eq=False)
class PowerCoordinates:
    """The ladder of Z^T W Z for an orthogonal Z; None for Z = I."""

    ladder: PowerLadder
    frame: Array | None

    def enter(self, rows: Array) -> Array:
        """Rows y as rows Z^T y."""
        return rows if self.frame is None else rows @ self.frame

    def leave(self, rows: Array) -> Array:
        """Rows Z^T y as rows y."""
        return rows if self.frame is None else rows @ self.frame.T


def power_coordinates(matrix: Array, depth: int) -> PowerCoordinates:
    """Coordinates for squaring W up to the power ``depth``.

    A squaring errs by eps norm(P)^2, which is much where norm(P^2) is far smaller: in non-normal matrices. A
    triangular form keeps such errors away from the eigenvalues, so these get their Schur form.
    """
    ladder = PowerLadder(matrix)
    doublings = min(depth.bit_length(), _TESTED_DOUBLINGS)
    logs = [_log_frobenius_norm(ladder, j) for j in range(doublings)]
    # Compared this way round, because a nilpotent matrix has a power of log norm -inf.
    if all(two >= 2.0 * one - _LARGEST_EXCESS for one, two in pairwise(logs)):
        return PowerCoordinates(ladder, None)
    first = ladder.rung(0)
    form, frame = quasi_triangular(first.matrix)
    return PowerCoordinates(PowerLadder(form, first.exponent), frame)


def quasi_triangular(matrix: Array) -> tuple[Array, Array]:
    """A real Schur form S of W = Z S Z^T, Z orthogonal, that keeps the zeros which W has by structure.

    Coordinates are ordered by the strongly connected components of the nonzero entries, so that W is block
    triangular, and only the blocks are reduced: a lower triangular Jordan block keeps its eigenvalue, which a
    dense reduction would spread over a circle of radius eps^(1/N).
    """
    _, labels = connected_components(matrix != 0.0, connection="strong")
    # Components come numbered against the direction of the entries between them; all in one block, should
    # that change.
    order = np.argsort(-labels, kind="stable")
    if _has_entries_below(matrix[np.ix_(order, order)], -labels[order].astype(np.intp)):
        labels, order = np.zeros_like(labels), np.arange(len(matrix))
    permuted, ranks = matrix[np.ix_(order, order)], -labels[order].astype(np.intp)
    rotation, corners = np.eye(len(matrix)), []
    for members in np.split(np.arange(len(matrix)), np.flatnonzero(np.diff(ranks)) + 1):
        block = np.ix_(members, members)
        corner, rotation[block] = schur(permuted[block], output="real", check_finite=False)
        corners.append((block, corner))
    form = np.where(ranks[:, None] > ranks, 0.0, rotation.T @ permuted @ rotation)
    for block, corner in corners:
        form[block] = corner
    return form, np.eye(len(matrix))[:, order] @ rotation


def eigenvalue_moduli(form: Array) -> Array:
    """The moduli of the eigenvalues of a real Schur form, in the order of its diagonal."""
    moduli: Array = np.abs(np.diagonal(form))
    first = np.flatnonzero(np.diagonal(form, -1))
    second = first + 1
    determinants = form[first, first] * form[second, second] - form[first, second] * form[second, first]
    moduli[first] = moduli[second] = np.sqrt(np.abs(determinants))
    return moduli


def reached_coordinates(matrix: Array, vectors: Array) -> Iterator[tuple[Indices, Indices]]:
    """Groups of rows of ``vectors`` with the coordinates that W, W^2, ... can ever make nonzero for them.

    Powers are scaled by their largest entry. Where zeros of W decouple coordinates, as in diag(1.5, 0.5), the
    powers of a part that is out of a vector's reach would push those that it does feel out of float64. Zero
    rows are left out.
    """
    reached = vectors != 0.0
    step = (matrix != 0.0).astype(np.float32)
    while not reached.all():
        wider = reached | (reached.astype(np.float32) @ step.T > 0.0)
        if (wider == reached).all():
            break
        reached, step = wider, np.minimum(step + step @ step, 1.0)
    patterns, group = np.unique(reached, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        if pattern.any():
            yield np.flatnonzero(group.reshape(-1) == i), np.flatnonzero(pattern)


def _has_entries_below(matrix: Array, ranks: Indices) -> bool:
    return bool(((ranks[:, None] > ranks) & (matrix != 0.0)).any())


def _log_frobenius_norm(ladder: PowerLadder, j: int) -> float:
    norm = float(np.linalg.norm(ladder.rung(j).matrix))
    return math.log(norm) + ladder.rung(j).log_scale if norm > 0.0 else -math.inf
