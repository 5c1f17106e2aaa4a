"""A matrix applied over and over: how far the norms of its powers can move in a stretch of steps."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import schur

from .._types import Array
from .coordinates import eigenvalue_moduli
from .ladders import PowerLadder
from .spectral_norms import log_spectral_norm, quick_log_spectral_norm

ComplexArray = npt.NDArray[np.complex128]

# Up to this size eigenvectors and a few more powers cost little beside the numpy calls, and give better
# bounds.
_SMALL = 64
# Rounding in the norm of one power; a bound over 2^j steps collects at most j of them.
_NORM_SLACK = 1e-12
# Beyond it, computed eigenvectors say too little about powers.
_LARGEST_CONDITION = 1e5


class Flow:
    """The steps y -> A y of a square matrix A, given by the ladder of its powers."""

    def __init__(self, ladder: PowerLadder, real_schur: tuple[Array, Array] | None = None) -> None:
        self.ladder = ladder
        self._given_schur = real_schur
        self._bounds: list[float] = []
        self._log_norms: list[float] = []
        self._first_powers: dict[int, tuple[Array, Array]] = {}

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return self.ladder.size

    def log_norm(self, j: int) -> float:
        """ln norm2(A^(2^j))."""
        while len(self._log_norms) <= j:
            norm = quick_log_spectral_norm if self._log_norms else log_spectral_norm
            self._log_norms.append(norm(self.ladder.rung(len(self._log_norms))))
        return self._log_norms[j]

    def bound(self, j: int) -> float:
        """At least ln norm2(A^i) for every i = 0 .. 2^j.

        Norms of powers are submultiplicative: ln norm(A^(p+i)) <= ln norm(A^p) + bound for i, here with p =
        2^(j-1). Small matrices take four points p instead of one, and the bound ln cond(V) + i ln rho by
        their eigenvectors V.
        """
        while len(self._bounds) <= j:
            self._bounds.append(self._next_bound(len(self._bounds)))
        return self._bounds[j]

    def slack(self, j: int) -> float:
        """How far the bound lies above the norm that A^(2^j) has, or above zero if that is more."""
        return self.bound(j) - max(0.0, self.log_norm(j))

    def bound_forever(self, doublings: int = 24) -> float:
        """A bound for all powers, where one of so many squarings gives a contraction; otherwise infinity."""
        contracting = (j for j in range(doublings) if self.log_norm(j) <= 0.0)
        j = next(contracting, None)
        return math.inf if j is None else self.bound(j)

    def first_powers(self, j: int) -> tuple[Array, Array]:
        """A, A^2, .. A^(2^j) as matrices (2^j, n, n) of moderate size and the logarithms of their scales."""
        if j not in self._first_powers:
            powers, scales = self.ladder.rung(0).matrix[None], np.array([self.ladder.rung(0).log_scale])
            for i in range(j):
                rung = self.ladder.rung(i)
                later = powers @ rung.matrix
                largest = np.abs(later).max(axis=(1, 2), keepdims=True)
                largest[largest == 0.0] = 1.0
                powers = np.concatenate([powers, later / largest])
                scales = np.concatenate([scales, scales + rung.log_scale + np.log(largest[:, 0, 0])])
            self._first_powers[j] = powers, scales
        return self._first_powers[j]

    @cached_property
    def real_schur(self) -> tuple[Array, Array]:
        """The real Schur form S of the scaled matrix 2**-exponent A, and the orthogonal Z of Z S Z^T."""
        if self._given_schur is not None:
            return self._given_schur
        form, frame = schur(self.ladder.rung(0).matrix, output="real", check_finite=False)
        return form, frame

    @cached_property
    def moduli(self) -> Array:
        """The moduli of the scaled matrix's eigenvalues, in the order of its Schur form."""
        return eigenvalue_moduli(self.real_schur[0])

    @cached_property
    def left_eigenvectors(self) -> tuple[ComplexArray, ComplexArray]:
        """Eigenvalues of the scaled matrix, and the unit columns u of u^T A = lambda u^T."""
        values, vectors = np.linalg.eig(self.ladder.rung(0).matrix.T)
        return values.astype(complex), vectors.astype(complex)

    @property
    def has_schur(self) -> bool:
        """Whether the Schur form is there without work."""
        return self._given_schur is not None

    @property
    def is_settled(self) -> bool:
        """Whether all modes grow at the same rate, so that none ever fades beside another."""
        return bool(self.moduli.min() >= self.moduli.max() * (1.0 - 1e-9))

    def _next_bound(self, j: int) -> float:
        if j == 0:
            return max(0.0, self.log_norm(0)) + _NORM_SLACK
        if self.log_norm(j - 1) <= 0.0:
            return self._bounds[j - 1]
        if self.size > _SMALL or j < 3:
            return self._bounds[j - 1] + self.log_norm(j - 1) + _NORM_SLACK
        return min(self._bound_by_quarters(j), self._bound_by_eigenvectors(2**j))

    def _bound_by_quarters(self, j: int) -> float:
        quarter, power = self.ladder.rung(j - 3), self.ladder.rung(j - 1)
        highest = self.log_norm(j - 1)
        for _ in range(3):
            power = power @ quarter
            highest = max(highest, quick_log_spectral_norm(power))
        return max(self._bounds[j - 1], highest + self._bounds[j - 3] + _NORM_SLACK)

    def _bound_by_eigenvectors(self, steps: int) -> float:
        radius = self.moduli.max()
        condition = self._eigenvector_condition
        if condition > _LARGEST_CONDITION or radius == 0.0:
            return math.inf
        # Computed eigenpairs belong to a matrix that differs by rounding, which moves the radius by up to eps
        # * condition.
        rate = math.log(radius) + self.ladder.rung(0).log_scale + 1e-16 * condition * self.size
        return math.log(condition) + max(0.0, steps * rate) + _NORM_SLACK

    @cached_property
    def _eigenvector_condition(self) -> float:
        spread = np.linalg.svd(self.left_eigenvectors[1], compute_uv=False)
        return float(spread[0] / spread[-1]) if spread[-1] > 0.0 else math.inf
