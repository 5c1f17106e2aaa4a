"""Eigenmodes of a real matrix: right and left eigenvectors with unit norm, largest modulus first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from ._types import Array
from .block_diagonal import BlockDiagonal


@dataclass(frozen=True, eq=False)
class EigenModes:
    """W right[:, i] = lambda_i right[:, i] and W^T left[:, i] = lambda_i left[:, i]; all unit columns."""

    eigenvalues: Array
    right: Array
    left: Array

    def right_coefficients(self, vectors: Array) -> Array | None:
        """c with vectors[b] = sum_i c[b, i] right[:, i]; None where the eigenvectors span too little to say."""
        return _coefficients(self.right, vectors)

    def left_coefficients(self, vectors: Array) -> Array | None:
        """The same in the left eigenvectors, for cotangents."""
        return _coefficients(self.left, vectors)

    def alignment(self, index: int, vectors: Array) -> Array:
        """Cosine of the angle between each vector and the real eigenspace of a mode and its conjugate, (B,)."""
        direction = self.right[:, index]
        plane = np.stack([direction.real, direction.imag], axis=1)
        if np.max(np.abs(direction.imag)) <= 1e-12 * np.max(np.abs(direction)):
            plane = plane[:, :1]
        basis, _ = np.linalg.qr(plane)
        return np.asarray(np.linalg.norm(vectors @ basis, axis=1) / np.linalg.norm(vectors, axis=1))


@dataclass(frozen=True, eq=False)
class DiagonalModes:
    """The same for a block-diagonal matrix, whose modes are its coordinates: no (N, N) array."""

    blocks: BlockDiagonal

    @property
    def eigenvalues(self) -> Array:
        return self.blocks.eigenvalues[self._order]

    @property
    def _order(self) -> Array:
        """Coordinates by falling modulus, the members of a pair adjacent."""
        values = self.blocks.eigenvalues
        return np.lexsort((-values.imag, -np.abs(values.imag), -values.real, -np.abs(values)))

    def right_coefficients(self, vectors: Array) -> Array | None:
        """Moduli only: a pair (x, y) is (x + iy) / sqrt 2 times one unit eigenvector, plus the conjugate of that."""
        blocks = self.blocks
        sizes = np.abs(blocks.modes(vectors)) / np.where(blocks.is_pair, np.sqrt(2.0), 1.0)
        return np.asarray(sizes[:, blocks.block_of][:, self._order])

    def left_coefficients(self, vectors: Array) -> Array | None:
        return self.right_coefficients(vectors)

    def alignment(self, index: int, vectors: Array) -> Array:
        block = int(self.blocks.block_of[self._order[index]])
        return np.asarray(np.abs(self.blocks.modes(vectors)[:, block]) / np.linalg.norm(vectors, axis=1))


_TRUSTED_CONDITION = 1e10
"""Beyond, coefficients in the eigenbasis lose more than ten of their sixteen digits."""


def eigenmodes(matrix: Array) -> EigenModes:
    """All eigenmodes of a square matrix; conjugate pairs adjacent, positive imaginary part first."""
    scale = float(np.max(np.abs(matrix), initial=0.0))
    exponent = int(np.frexp(scale)[1]) if scale > 0 else 0
    scaled = np.ldexp(matrix, -exponent)
    if np.array_equal(scaled, scaled.T):
        symmetric, vectors = np.linalg.eigh(scaled)
        order = np.argsort(-np.abs(symmetric), kind="stable")
        vectors = vectors[:, order].astype(np.complex128)
        return EigenModes(np.ldexp(symmetric[order], exponent).astype(np.complex128), vectors, vectors)
    values, left, right = scipy.linalg.eig(scaled, left=True, right=True)  # type: ignore[misc]  # stubs: two results
    order = np.lexsort((-values.imag, -values.real, -np.abs(values)))
    # scipy's left vectors satisfy u^H W = lambda u^H, so that W^T conj(u) = lambda conj(u).
    return EigenModes(
        np.ldexp(1.0, exponent) * values[order] if abs(exponent) < 1000 else values[order] * 2.0**exponent,
        right[:, order],
        left[:, order].conj(),
    )


def _coefficients(basis: Array, vectors: Array) -> Array | None:
    if np.linalg.cond(basis) > _TRUSTED_CONDITION:
        return None
    return np.asarray(np.linalg.solve(basis, vectors.T.astype(np.complex128)).T)
