"""W replaced by the orthogonal matrix nearest to it, the polar factor."""

from __future__ import annotations

import numpy as np

from ..._types import Array
from ...block_diagonal import BlockDiagonal
from ._remedy import Change, Remedy, Subject, Trial, effect_of, without_weights


def polar_factor(matrix: Array) -> Array:
    """U V^T of the singular value decomposition U S V^T: the nearest matrix with orthonormal rows or columns.

    Nearest in the Frobenius norm (Fan and Hoffman 1955). (M, N) to (M, N); right at any scale of W.
    """
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left @ right)


def _search(subject: Subject) -> tuple[Trial, int]:
    if not subject.problem.network.kind.is_recurrent:
        changed = subject.with_layers([polar_factor(W) for W in subject.layers])
        return Trial({"layers": "polar factors"}, effect_of(changed)), 1
    matrix = subject.matrix()
    change: Change = (
        {"eigenvalues": "lambda / |lambda|"}
        if isinstance(matrix, BlockDiagonal)
        else {"weights": "polar factor of W"}
    )
    return Trial(change, effect_of(subject.with_matrix(_orthogonal(matrix)))), 1


def _orthogonal(matrix: Array | BlockDiagonal) -> Array | BlockDiagonal:
    if not isinstance(matrix, BlockDiagonal):
        return polar_factor(matrix)
    moduli = np.abs(matrix.multipliers)
    directions = np.where(moduli > 0, matrix.multipliers / np.where(moduli > 0, moduli, 1.0), 1.0)
    return matrix.with_multipliers(directions)


orthogonalise = Remedy(
    without_weights,
    _search,
    "every direction is carried alike, so the state cannot forget by itself; slopes below one still shrink the "
    "gradient, and training leaves the orthogonal matrices unless a parametrisation holds it there",
)
