"""How far one matrix has moved to another: in size, in its norms and eigenvalues, and in its leading directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import subspace_angles

from ._types import Array
from .matrix_analysis import spectral_radius

MOST_DIRECTIONS = 16
_CLEAR_GAP = 1.1


@dataclass(frozen=True, eq=False)
class MatrixDrift:
    """From A to B. Angles are the principal ones between leading singular subspaces, in radians, the largest first.

    The `directions` k are the first of at most 16 above the largest ratio of neighbouring singular values of A, where
    the subspace is best defined.
    """

    name: str
    shape: tuple[int, int]
    relative_change: float | None
    relative_change_reason: str | None
    spectral_norm_before: float
    spectral_norm_after: float
    frobenius_norm_before: float
    frobenius_norm_after: float
    spectral_radius_before: float | None
    spectral_radius_after: float | None
    spectral_radius_reason: str | None
    directions: int
    directions_reason: str
    left_angles: Array
    right_angles: Array


def matrix_drift(name: str, before: Array, after: Array) -> MatrixDrift:
    """Compare two matrices of one shape."""
    change, size = float(np.linalg.norm(after - before)), float(np.linalg.norm(before))
    relative, reason = relative_change(change, size)
    left_a, values_a, right_a = np.linalg.svd(before, full_matrices=False)
    left_b, values_b, right_b = np.linalg.svd(after, full_matrices=False)
    k, why = leading_directions(values_a)
    square = before.shape[0] == before.shape[1]
    return MatrixDrift(
        name,
        (int(before.shape[0]), int(before.shape[1])),
        relative,
        reason,
        float(values_a[0]),
        float(values_b[0]),
        size,
        float(np.linalg.norm(after)),
        spectral_radius(before) if square else None,
        spectral_radius(after) if square else None,
        None if square else "the matrix is not square: it has no eigenvalues",
        k,
        why,
        _angles(left_a[:, :k], left_b[:, :k]),
        _angles(right_a[:k].T, right_b[:k].T),
    )


def relative_change(change: float, size: float) -> tuple[float | None, str | None]:
    """The size of a change against the size before, or why there is no such number."""
    if size == 0.0:
        return None, "all of it was zero before"
    with np.errstate(over="ignore"):
        ratio = float(np.divide(change, size))
    return (ratio, None) if np.isfinite(ratio) else (None, "the ratio leaves float64")


def leading_directions(values: Array) -> tuple[int, str]:
    """How many singular directions to follow, and why so many."""
    positive = values[values > 0]
    if len(positive) <= 1:
        return len(positive), "the matrix has one direction" if len(positive) else "the matrix is zero"
    most = min(MOST_DIRECTIONS, len(positive) - 1)
    ratios = positive[:most] / positive[1 : most + 1]
    k = int(np.argmax(ratios)) + 1
    gap = float(ratios[k - 1])
    clear = "" if gap >= _CLEAR_GAP else "; no gap is clear, so that small changes can turn the subspace far"
    return (
        k,
        f"the largest of the first {most} gaps: singular value {k} is {gap:.4g} times the next one{clear}",
    )


def _angles(first: Array, second: Array) -> Array:
    return np.asarray(subspace_angles(first, second)) if first.shape[1] else np.empty(0)


def blocks_of(array: Array, gates: Sequence[str]) -> dict[str, Array]:
    """A stacked matrix gate by gate, another one whole."""
    return dict(zip(gates, np.split(array, len(gates)), strict=True)) if gates else {"": array}
