"""A triangular matrix unitarily similar to a given one: the form in which non-normality is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import schur

from .._types import Array
from ._scaling import EPSILON, frobenius_norm
from .components import strong_components


@dataclass(frozen=True, eq=False)
class SchurForm:
    """matrix = Q T Q^H with Q unitary (not kept) and T = `triangle`, complex upper triangular, (N, N).

    `uncertainty` bounds the rounding of each diagonal entry, (N,): zero where it was read off the matrix, N
    eps times the norm of its block where a QR iteration found it. The error in the eigenvalue it stands for
    is that times the eigenvalue's condition.
    """

    triangle: Array
    uncertainty: Array

    @property
    def eigenvalues(self) -> Array:
        """The diagonal of T, in the order of T."""
        return np.diagonal(self.triangle)

    @property
    def normal(self) -> bool:
        """Whether T is diagonal to working precision, and the matrix therefore normal."""
        size = len(self.triangle)
        departure = frobenius_norm(np.triu(self.triangle, 1))
        return departure <= 4.0 * size * EPSILON * frobenius_norm(self.triangle)


def schur_form(matrix: Array) -> SchurForm:
    """The Schur form of a real square matrix, block by block where its zeros allow (see `strong_components`)."""
    size = len(matrix)
    groups = strong_components(matrix)
    order = np.concatenate(groups)
    triangle = matrix[np.ix_(order, order)].astype(np.complex128)
    uncertainty = np.zeros(size)
    start = 0
    for group in groups:
        end = start + len(group)
        if len(group) > 1:
            block, basis = _block_form(matrix[np.ix_(group, group)])
            triangle[:start, start:end] = triangle[:start, start:end] @ basis
            triangle[start:end, end:] = basis.conj().T @ triangle[start:end, end:]
            triangle[start:end, start:end] = block
            uncertainty[start:end] = len(group) * EPSILON * frobenius_norm(block)
        start = end
    return SchurForm(triangle, uncertainty)


def as_schur(matrix: Array | SchurForm) -> SchurForm:
    """A Schur form as it is, or that of a matrix: kernels take either, so that several can share one."""
    return matrix if isinstance(matrix, SchurForm) else schur_form(matrix)


def _block_form(block: Array) -> tuple[Array, Array]:
    """T and Q of one block that cannot be split."""
    if np.array_equal(block, block.T):
        values, vectors = np.linalg.eigh(block)
        return np.diag(values).astype(np.complex128), vectors.astype(np.complex128)
    return _complex_form(*schur(block, output="real", check_finite=False))


def _complex_form(triangle: Array, basis: Array) -> tuple[Array, Array]:
    """Triangularise the 2 x 2 blocks of a real Schur form, all at once.

    LAPACK leaves them as [[a, b], [c, a]] with b c < 0, whose eigenvalue a + i w, w = sqrt(-b c), has the
    eigenvector (b, i w). The rotations of different blocks touch different coordinates.
    """
    rotated, unitary = triangle.astype(np.complex128), basis.astype(np.complex128)
    first = np.flatnonzero(np.diagonal(triangle, -1))
    second = first + 1
    upper, lower = triangle[first, second], triangle[second, first]
    width = np.sqrt(np.abs(upper)) * np.sqrt(np.abs(lower))
    length = np.hypot(upper, width)
    cosine, sine = upper / length, 1j * width / length
    for columns in (rotated, unitary):
        left, right = columns[:, first], columns[:, second]
        columns[:, first] = left * cosine + right * sine
        columns[:, second] = left * sine + right * cosine
    top, bottom = rotated[first], rotated[second]
    rotated[first] = cosine[:, None] * top - sine[:, None] * bottom
    rotated[second] = -sine[:, None] * top + cosine[:, None] * bottom
    middle = np.diagonal(triangle)[first]
    rotated[first, first], rotated[second, second] = middle + 1j * width, middle - 1j * width
    rotated[second, first] = 0.0
    return rotated, unitary
