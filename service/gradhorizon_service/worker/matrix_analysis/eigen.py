"""Eigenvalues in reading order, and the spectral radius."""

from __future__ import annotations

import numpy as np

from .._types import Array
from .components import strong_components


def eigenvalues_sorted(matrix: Array) -> Array:
    """All N eigenvalues of a real square matrix, largest modulus first, the members of a conjugate pair adjacent.

    Of a pair the one with positive imaginary part comes first; equal moduli are ordered by falling real part.
    Each block that the zeros of the matrix leave (see `strong_components`) is solved on its own, so
    triangular matrices have exactly their diagonal; symmetric blocks have exactly real eigenvalues.
    """
    groups = strong_components(matrix)
    values = np.concatenate([_block_eigenvalues(matrix[np.ix_(group, group)]) for group in groups])
    return by_modulus(values)


def spectral_radius(matrix: Array) -> float:
    """The largest modulus of an eigenvalue."""
    return float(np.abs(eigenvalues_sorted(matrix)[0]))


def by_modulus(eigenvalues: Array) -> Array:
    """Eigenvalues closed under conjugation, in the order of `eigenvalues_sorted`."""
    upper = eigenvalues[eigenvalues.imag >= 0.0]
    upper = upper[np.lexsort((-upper.imag, -upper.real, -np.abs(upper)))]
    pairs = np.stack([upper, upper.conj()], axis=1)
    present = np.stack([np.ones(len(upper), dtype=np.bool_), upper.imag > 0.0], axis=1)
    ordered: Array = pairs[present]
    return ordered


def _block_eigenvalues(block: Array) -> Array:
    if len(block) == 1:
        return np.array(block[0], dtype=np.complex128)
    if np.array_equal(block, block.T):
        return np.asarray(np.linalg.eigvalsh(block), dtype=np.complex128)
    # LAPACK's geev balances before it solves: unlike the Schur form here it survives blocks such as
    # [[1, 1e200], [1e-200, 1]].
    return np.asarray(np.linalg.eigvals(block), dtype=np.complex128)
