"""The condition of the eigenvector matrix, beyond what float64 can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from .._types import Array
from ._columns import Columns
from ._scaling import EPSILON, frobenius_norm
from .schur import SchurForm, as_schur

DEFECTIVE = "the matrix has no full set of eigenvectors: a repeated eigenvalue is defective"
UNRESOLVED = (
    "eigenvalues lie closer together than rounding can tell apart, so the condition is a lower estimate;"
    " the matrix may as well be defective"
)


@dataclass(frozen=True)
class EigenvectorCondition:
    """ln cond_2(V) for V with unit columns; infinite for a defective matrix.

    `reason` is a sentence where the number is infinite or only an estimate, else None.
    """

    log_value: float
    reliable: bool
    reason: str | None


def log_eigenvector_condition(matrix: Array | SchurForm) -> EigenvectorCondition:
    """Natural logarithm of the 2-norm condition number of the matrix of unit eigenvectors.

    With T = X L X^-1 (T the Schur form, X unit upper triangular, L diagonal) the unit eigenvectors are Q X D,
    D scaling columns, and cond(V) = norm(X D) norm(D^-1 X^-1). Right and left eigenvectors each come from
    their own back substitution with an exponent per column, so neither factor is a small singular value and
    neither loses digits: a condition of 1e143 is found as exactly as one of 10. Equivalent to
    log(numpy.linalg.cond(V)) while that is below 1e12. Zero for normal matrices, also where repeated
    eigenvalues leave V a choice.
    """
    form = as_schur(matrix)
    if form.normal:
        return EigenvectorCondition(0.0, reliable=True, reason=None)
    right = _eigenvectors(form.triangle, form.uncertainty)
    left = _eigenvectors(_mirrored(form.triangle), form.uncertainty[::-1])
    if right is None or left is None:
        return EigenvectorCondition(math.inf, reliable=True, reason=DEFECTIVE)
    unit_right, log_right = right.normalised()
    unit_left, log_left = left.normalised()
    log_conditions = log_right + log_left[::-1]  # of the eigenvalues: the rows of (X D)^-1 have these lengths
    largest = float(log_conditions.max())
    inverse = unit_left[::-1, ::-1].T * np.exp(log_conditions - largest)[:, None]
    log_value = math.log(_two_norm(unit_right)) + math.log(_two_norm(inverse)) + largest
    if _resolved(form, log_conditions):
        return EigenvectorCondition(log_value, reliable=True, reason=None)
    return EigenvectorCondition(log_value, reliable=False, reason=UNRESOLVED)


def _eigenvectors(triangle: Array, uncertainty: Array) -> Columns | None:
    """Right eigenvectors of a triangular matrix as the columns of X, with unit diagonal; None if one is missing.

    Row i of (T - t_kk I) x_k = 0 gives x_ik = -(sum over j > i of t_ij x_jk) / (t_ii - t_kk). Where t_ii and
    t_kk are the same eigenvalue to rounding, the sum has to vanish to rounding too and x_ik is free; zero is
    our choice.
    """
    size = len(triangle)
    diagonal = np.diagonal(triangle)
    rounding = size * EPSILON * frobenius_norm(triangle)
    solution = Columns(size, size)
    values = solution.values
    for row in range(size - 1, -1, -1):
        values[row, row] = 1.0
        later = row + 1
        numerators = -(triangle[row, later:] @ values[later:, later:])
        denominators = diagonal[row] - diagonal[later:]
        same = np.abs(denominators) <= uncertainty[row] + uncertainty[later:]
        if same.any():
            lengths = np.abs(values[later:, later:]).max(axis=0)
            if np.any(np.abs(numerators[same]) > rounding * lengths[same]):
                return None
            numerators[same], denominators[same] = 0.0, 1.0
        factors = solution.shrink_for(later, numerators, denominators)
        values[row, later:] = (numerators if factors is None else numerators * factors) / denominators
    return solution


def _mirrored(triangle: Array) -> Array:
    """The transpose with rows and columns reversed: upper triangular, its right eigenvectors are T's left ones."""
    return np.ascontiguousarray(triangle.T[::-1, ::-1])


def _two_norm(matrix: Array) -> float:
    """The largest singular value, from the Gram matrix: relative rounding is all that squaring costs the largest."""
    last = len(matrix) - 1
    gram = matrix.conj().T @ matrix
    return math.sqrt(eigh(gram, subset_by_index=(last, last), eigvals_only=True, check_finite=False)[0])


def _resolved(form: SchurForm, log_conditions: Array) -> bool:
    """Whether each eigenvalue's error, its condition times its uncertainty, is below the gap to the next one."""
    uncertain = form.uncertainty > 0.0
    gaps = np.abs(form.eigenvalues[uncertain, None] - form.eigenvalues[None, :])
    gaps[np.arange(len(gaps)), np.flatnonzero(uncertain)] = np.inf
    nearest = gaps.min(axis=1)
    errors = log_conditions[uncertain] + np.log(form.uncertainty[uncertain])
    return bool(np.all(nearest > 0.0) and np.all(errors < np.log(nearest)))
