"""Leading eigenvectors of many rotated Hermitian parts of one real matrix at once."""

from __future__ import annotations

import numpy as np

from .._types import Array


def leading_vectors(matrix: Array, angles: Array, starts: Array, steps: int) -> Array:
    """Approximate unit eigenvectors to lambda_max of (e^it W + e^-it W^T) / 2, one row per angle t, (K, N).

    Lanczos from the given start rows, the angles side by side so that each step is two real matrix products.
    Without reorthogonalisation: that would cost more than the steps do, and what is lost is only that
    converged Ritz values appear repeatedly, which does not disturb the largest.
    """
    count, size = starts.shape
    phases = 0.5 * np.exp(1j * angles)[:, None]
    transposed = np.ascontiguousarray(matrix.T)
    basis = np.zeros((steps, count, size), dtype=np.complex128)
    diagonal = np.zeros((steps, count))
    beside = np.zeros((steps, count))
    vectors = starts / np.linalg.norm(starts, axis=1, keepdims=True)
    previous = np.zeros_like(vectors)
    for step in range(steps):
        basis[step] = vectors
        parts = np.concatenate([vectors.real, vectors.imag])
        images, adjoints = parts @ transposed, parts @ matrix  # rows are vectors: W v is v W^T
        following = phases * (images[:count] + 1j * images[count:])
        following += phases.conj() * (adjoints[:count] + 1j * adjoints[count:])
        if step > 0:
            following -= beside[step - 1, :, None] * previous
        diagonal[step] = np.einsum("kn,kn->k", vectors.conj(), following).real
        following -= diagonal[step, :, None] * vectors
        lengths = np.linalg.norm(following, axis=1)
        beside[step] = lengths
        previous, vectors = vectors, following / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    # An invariant subspace met exactly leaves zero vectors; below every eigenvalue they are never the largest.
    diagonal[~basis.any(axis=2)] = -2.0 * size
    combined: Array = np.einsum("skn,ks->kn", basis, _leading_coefficients(diagonal, beside))
    combined /= np.linalg.norm(combined, axis=1, keepdims=True)
    return combined


def _leading_coefficients(diagonal: Array, beside: Array) -> Array:
    """For each column of coefficients, the eigenvector to the largest eigenvalue of the tridiagonal matrix, (K, S)."""
    steps, count = diagonal.shape
    tridiagonal = np.zeros((count, steps, steps))
    index = np.arange(steps)
    tridiagonal[:, index, index] = diagonal.T
    tridiagonal[:, index[1:], index[:-1]] = beside[:-1].T
    _, vectors = np.linalg.eigh(tridiagonal, UPLO="L")
    return vectors[:, :, -1]
