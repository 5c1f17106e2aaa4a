"""Norms of the resolvent of a triangular matrix at many points at once."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ._columns import solve_shifted

_EXHAUSTED = 1e-8  # residuals, relative to the largest value, whose square no longer changes it
_LARGEST_LOG = 600.0  # what a later step may see beyond the first one, whose start may have missed the most


class Resolvent:
    """R(z) = (z I - T)^-1 for T complex upper triangular, (N, N), seen through triangular solves."""

    def __init__(self, triangle: Array) -> None:
        self._triangle = triangle
        self._adjoint = np.ascontiguousarray(triangle.conj().T[::-1, ::-1])

    def log_norms(self, points: Array, starts: Array, steps: int) -> tuple[Array, Array]:
        """ln norm(R(z)) at each point, from below, and unit vectors (N, K) that R(z) enlarges about so much.

        Lanczos steps on R^H R from unit start vectors (N, K). R^H R is kept in units of exp(logs), what the first
        step sees of it, so that resolvents beyond float64 do not matter.
        """
        steps = min(steps, len(starts))
        basis = np.zeros((steps, *starts.shape), dtype=np.complex128)
        projected = np.zeros((starts.shape[1], steps, steps))
        vectors, logs = starts, np.zeros(len(points))
        for step in range(steps):
            basis[step] = vectors
            products, log_products = self._squared(points, vectors)
            logs = log_products if step == 0 else logs
            products *= np.exp(np.minimum(log_products - logs, _LARGEST_LOG))
            overlaps = _orthogonalised(products, basis[: step + 1])
            _orthogonalised(products, basis[: step + 1])  # twice is enough, and once is not
            projected[:, step, step] = overlaps[step].real
            lengths = np.linalg.norm(products, axis=0)
            goes_on = lengths > _EXHAUSTED * projected[:, : step + 1, : step + 1].max(axis=(1, 2))
            if step + 1 < steps:
                projected[:, step + 1, step] = np.where(goes_on, lengths, 0.0)
            vectors = np.where(goes_on, products / np.where(goes_on, lengths, 1.0), 0.0)
        values, coefficients = np.linalg.eigh(projected, UPLO="L")
        vectors = np.einsum("snk,ks->nk", basis, coefficients[:, :, -1])
        return 0.5 * (logs + np.log(values[:, -1])), vectors / np.linalg.norm(vectors, axis=0)

    def log_lengths(self, points: Array, vectors: Array) -> Array:
        """ln norm(R(z) v) for one unit vector a point: lower bounds of ln norm(R(z)) beyond doubt."""
        return solve_shifted(self._triangle, points, vectors).normalised()[1]

    def _squared(self, points: Array, vectors: Array) -> tuple[Array, Array]:
        """R^H R v as unit vectors and the logarithms of their lengths."""
        images, log_images = solve_shifted(self._triangle, points, vectors).normalised()
        mirrored, log_mirrored = solve_shifted(self._adjoint, points.conj(), images[::-1]).normalised()
        return mirrored[::-1], log_images + log_mirrored


def _orthogonalised(vectors: Array, basis: Array) -> Array:
    """Remove from the vectors (N, K), in place, their parts along the basis (S, N, K); the coefficients (S, K)."""
    overlaps: Array = np.einsum("snk,nk->sk", basis.conj(), vectors)
    vectors -= np.einsum("snk,sk->nk", basis, overlaps)
    return overlaps
