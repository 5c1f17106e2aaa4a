"""The numerical radius: the norm-like quantity between the spectral radius and the spectral norm."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import eigh

from .._types import Array
from ._lanczos import leading_vectors
from ._scaling import unit_scaled, unscaled
from .eigen import eigenvalues_sorted

_ANGLES = 48
_LEADING_EIGENVALUES = 8
_STARTS = 4
_ROUNDS = 5
_FINAL_ROUNDS = 4
_DENSE = 96  # up to this size LAPACK beats Lanczos steps in numpy
_FIRST_STEPS, _NEXT_STEPS = 60, 24
_NEARLY_FLAT, _FLAT = 1e-6, 1e-8  # relative slopes: heights are then exact to about their squares


def numerical_radius(matrix: Array, eigenvalues: Array | None = None) -> float:
    """w(W) = max over unit x of abs(x^H W x) = max over t of lambda_max((e^it W + e^-it W^T) / 2).

    Every power obeys norm(W^k) <= 2 w(W)^k, so w < 1 proves decay where a spectral norm above 1 proves
    nothing.

    The support function t -> lambda_max is sampled over [0, pi] (the numerical range of a real matrix is
    symmetric about the real axis), also towards the leading eigenvalues. Its local maxima are bracketed by
    the sign of its derivative, -Im(e^it x^H W x) with x the eigenvector, and closed in on. Any x gives a
    lower bound; the result is exact to rounding unless a second maximum hides within one step of the grid,
    which costs at most 6e-4 of it. `eigenvalues`, as `eigenvalues_sorted` gives them, save their computation.
    """
    if eigenvalues is None:
        eigenvalues = eigenvalues_sorted(matrix)
    scaled, exponent = unit_scaled(matrix)
    leading = np.abs(np.angle(eigenvalues[:_LEADING_EIGENVALUES]))
    angles = np.unique(np.concatenate([np.linspace(0.0, math.pi, _ANGLES), leading]))
    support = _Support(scaled)
    points, vectors = support.points(angles)
    angle = _climbed(support, angles, points, vectors)
    best = max(float(np.abs(points).max()), _polished(support, angle))
    return max(unscaled(best, exponent), float(np.abs(eigenvalues[0])))


class _Support:
    """The points z = x^H W x that W's leading directions reach; the support function at t is Re(e^it z)."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def points(self, angles: Array) -> tuple[Array, Array]:
        """z for each angle, and the eigenvectors as rows, from scratch."""
        size = len(self._matrix)
        if size <= _DENSE:
            vectors = np.stack([self._eigenvector(angle) for angle in angles])
        else:
            starts = np.random.default_rng(0).standard_normal((2, len(angles), size))
            vectors = leading_vectors(self._matrix, angles, starts[0] + 1j * starts[1], _FIRST_STEPS)
        return self._quotients(vectors), vectors

    def points_near(self, angles: Array, vectors: Array) -> tuple[Array, Array]:
        """The same where vectors for angles close by are known."""
        if len(self._matrix) <= _DENSE:
            return self.points(angles)
        vectors = leading_vectors(self._matrix, angles, vectors, _NEXT_STEPS)
        return self._quotients(vectors), vectors

    def exact_point(self, angle: float) -> complex:
        """z for one angle, by LAPACK."""
        return complex(self._quotients(self._eigenvector(angle)[None])[0])

    def _eigenvector(self, angle: float) -> Array:
        last = len(self._matrix) - 1
        phase = 0.5 * np.exp(1j * angle)
        hermitian = phase * self._matrix + phase.conjugate() * self._matrix.T
        vectors: Array
        _, vectors = eigh(hermitian, subset_by_index=(last, last), overwrite_a=True, check_finite=False)
        return vectors[:, 0]

    def _quotients(self, vectors: Array) -> Array:
        images = vectors.real @ self._matrix.T + 1j * (vectors.imag @ self._matrix.T)
        quotients: Array = np.einsum("kn,kn->k", vectors.conj(), images)
        return quotients


def _slopes(angles: Array, points: Array) -> Array:
    """The derivative of the support function."""
    slopes: Array = -(np.exp(1j * angles) * points).imag
    return slopes


def _climbed(support: _Support, angles: Array, points: Array, vectors: Array) -> float:
    """The angle of the highest point found by closing in, side by side, on the most promising local maxima."""
    slopes = _slopes(angles, points)
    highest = complex(points[np.abs(points).argmax()])
    rising = np.flatnonzero((slopes[:-1] > 0.0) & (slopes[1:] < 0.0))
    heights = np.maximum(np.abs(points[rising]), np.abs(points[rising + 1]))
    rising = rising[np.argsort(-heights)[:_STARTS]]
    low, high, slope_low, slope_high = angles[rising], angles[rising + 1], slopes[rising], slopes[rising + 1]
    vectors = vectors[rising]
    moved_left = np.zeros((2, len(rising)), dtype=np.bool_)
    for _ in range(_ROUNDS if len(rising) else 0):
        middle = (low * slope_high - high * slope_low) / (slope_high - slope_low)
        points, vectors = support.points_near(middle, vectors)
        highest = max(highest, *(complex(point) for point in points), key=abs)
        slopes = _slopes(middle, points)
        if np.all(np.abs(slopes) <= _NEARLY_FLAT * np.abs(points)):
            break
        # Regula falsi; an end that stays put twice running gets its slope halved, or it would stay for good
        # (the Illinois rule).
        moved_left = np.stack([moved_left[1], slopes > 0.0])
        stays_low, stays_high = ~moved_left.any(axis=0), moved_left.all(axis=0)
        left = moved_left[1]
        slope_low = np.where(left, slopes, np.where(stays_low, 0.5, 1.0) * slope_low)
        slope_high = np.where(left, np.where(stays_high, 0.5, 1.0) * slope_high, slopes)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return -float(np.angle(highest))


def _polished(support: _Support, angle: float) -> float:
    """The height of the maximum next to an angle, by secant steps on the slope of exact points."""
    point = support.exact_point(angle)
    height, slope = abs(point), float(_slopes(np.array([angle]), np.array([point]))[0])
    following = -float(np.angle(point))  # turning towards the point found never lowers the support function
    for _ in range(_FINAL_ROUNDS):
        if abs(slope) <= _FLAT * height or following == angle:
            break
        point = support.exact_point(following)
        following_slope = float(_slopes(np.array([following]), np.array([point]))[0])
        height = max(height, abs(point))
        change = following_slope - slope
        step = -following_slope * (following - angle) / change if change != 0.0 else 0.0
        angle, slope, following = following, following_slope, following + step
    return height
