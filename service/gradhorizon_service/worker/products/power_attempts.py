"""Evaluations of ln sigma for powers of one matrix, each with the checks that say how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .._types import Array
from .attempts import Attempt, differences, doubt_about, in_integers
from .compression import Compression, compressed, rounding_errors
from .determinants import log_determinant
from .factors import Repeated
from .graded import log_singular_values_of_graded, normalised, premultiplied
from .schur_power import GradedPower, SchurForm, power, sorted_schur

_EPS = float(np.finfo(float).eps)
# Errors made on purpose, and how many rounding errors they stand for.
_PERTURBATION = 1e-10
_SCHUR_ROUNDINGS = 32
_JACOBI_ROUNDINGS = 4
# What rounding leaves of the commutator of a normal matrix, relatively.
_NORMAL = 1e-13
# Trusted errors, relative to max(1, abs(ln sigma)); what is promised is 1e-8.
_TRUSTED_BOUND = 4e-9
_TRUSTED_OF_NORMAL = 6e-9
_TRUSTED_RESPONSE = 2e-9
# Beyond this condition of the graded rows nothing of the small singular values is left to respond.
_WORST_CONDITION = 1e14


def evaluated_power(W: Array, exponent: int) -> Attempt:
    """The best attempt for W^T: in float64, or in integers where that leaves a doubt and they are cheap."""
    shift = int(np.frexp(np.abs(W).max(initial=0.0))[1])
    scaled = _Scaled(np.ldexp(W, -shift), exponent, exponent * shift * math.log(2.0))
    with np.errstate(all="ignore"):  # what overflows fails the checks
        try:
            attempt = _attempted(scaled)
        except np.linalg.LinAlgError as failure:
            return Attempt(np.full(len(W), -np.inf), np.inf, 0.0, f"LAPACK: {failure}", "Schur form")
        if attempt.doubt and np.isfinite(attempt.log_values).all():
            return next(in_integers(Repeated(W, exponent), attempt.log_values), attempt)
        return attempt


@dataclass(frozen=True, eq=False)
class _Scaled:
    """W^T = exp(log_scale) matrix^exponent, the largest entry of the matrix being close to 1."""

    matrix: Array
    exponent: int
    log_scale: float


def _attempted(scaled: _Scaled) -> Attempt:
    W = scaled.matrix
    log_determinant_of_W = log_determinant(W)
    if log_determinant_of_W is None:
        deflated = _deflated(scaled)
        if deflated is None:
            return Attempt(np.full(len(W), -np.inf), 0.0, 0.0, None, "nilpotent")
        return _from_schur_form(deflated)
    attempt = _of_normal(scaled)
    if attempt is None or attempt.doubt:
        attempt = _from_schur_form(_whole(scaled))
    expected = scaled.exponent * log_determinant_of_W + len(W) * scaled.log_scale
    gap = float(np.abs(attempt.log_values.sum() - expected))
    doubt = attempt.doubt or doubt_about(attempt.log_values, 0.0, gap, 0.0)
    return replace(attempt, determinant_gap=gap, doubt=doubt)


def _checked(values: Array, error: float, trusted: float, algorithm: str) -> Attempt:
    return Attempt(values, error, 0.0, doubt_about(values, error, 0.0, trusted), algorithm)


def _of_normal(scaled: _Scaled) -> Attempt | None:
    """sigma(W^T) = sigma(W)^T for a normal W, or None for another one.

    The error of sigma(W) is measured by its response to larger errors. To that comes what W lacks to be
    normal: an E with W W^T - W^T W = 2 norm(W) norm(E).
    """
    W, T = scaled.matrix, scaled.exponent
    departure = _departure_from_normality(W)
    if departure > _NORMAL:
        return None
    noise = np.random.default_rng(50).standard_normal((len(W), len(W)))
    noisy = W * (1.0 + _PERTURBATION * (noise + noise.T))
    of_factor = log_singular_values_of_graded(normalised(np.zeros((2, len(W))), np.stack([W, noisy])))
    values, perturbed = scaled.log_scale + T * of_factor
    response = float(differences(values[None], perturbed[None])[0])
    missing = T * departure * np.exp(of_factor[0, 0] - of_factor[0]) / np.maximum(1.0, np.abs(values))
    error = _JACOBI_ROUNDINGS * _EPS / _PERTURBATION * response + float(missing.max())
    return _checked(values, error, _TRUSTED_OF_NORMAL, "singular values of a normal matrix")


def _departure_from_normality(W: Array) -> float:
    """norm(E) / norm(W), 0 for symmetric and antisymmetric matrices, whose commutator would be rounding."""
    if np.array_equal(W, W.T) or np.array_equal(W, -W.T):
        return 0.0
    commutator = W @ W.T - W.T @ W
    size = float(np.linalg.norm(W)) ** 2 / len(W)
    if np.linalg.norm(commutator) > 2.0 * _NORMAL * len(W) * size:
        return 1.0
    return float(np.linalg.norm(commutator, 2)) / 2.0 / float(np.linalg.norm(W, 2)) ** 2


@dataclass(frozen=True, eq=False)
class _Deflated:
    """W^T = exp(log_scale) left @ core^exponent @ right, the core (r, r) without what W^T annihilates.

    left (N, r) and right (r, N) are None for the identity. The entries of the core carry rounding errors of
    eps times a matrix of the Frobenius norm ``norm``.
    """

    core: Array
    exponent: int
    log_scale: float
    norm: float
    left: Array | None = None
    right: Array | None = None

    def without(self, kept: Compression) -> _Deflated:
        """core = F C, so core^p = F (C F)^(p - 1) C."""
        return _Deflated(
            kept.core @ kept.frame,
            self.exponent - 1,
            self.log_scale,
            float(np.linalg.norm(np.abs(kept.core) @ np.abs(kept.frame))),
            kept.frame if self.left is None else self.left @ kept.frame,
            kept.core if self.right is None else kept.core @ self.right,
        )

    def values(self, form: SchurForm, graded: GradedPower) -> Array:
        """ln sigma of exp(log_scale) left @ Z diag(exp l) M Z^T @ right, (N,), largest first."""
        rows = graded.rows if self.right is None else graded.rows @ (form.Z.T @ self.right)
        product = normalised(graded.log_scales[None] + self.log_scale, rows[None])
        if self.left is not None:
            product = premultiplied(np.asarray(np.linalg.qr(self.left @ form.Z, mode="r"))[None], product)
        return self._padded(log_singular_values_of_graded(product)[0])

    def growth(self, graded: GradedPower) -> Array:
        """T ln|lambda| instead, which is what ln sigma tends to."""
        return self._padded(-np.sort(-graded.log_scales) + self.log_scale)

    def _padded(self, values: Array) -> Array:
        lost = 0 if self.left is None else len(self.left) - len(self.core)
        return np.concatenate([values, np.full(lost, -np.inf)])


def _whole(scaled: _Scaled) -> _Deflated:
    return _Deflated(scaled.matrix, scaled.exponent, scaled.log_scale, float(np.linalg.norm(scaled.matrix)))


def _deflated(scaled: _Scaled) -> _Deflated | None:
    """Without the dimensions that W loses, one step after the other; None where nothing is left."""
    N = len(scaled.matrix)
    deflated, errors = _whole(scaled), rounding_errors(scaled.matrix, np.eye(N), N)
    while deflated.exponent:
        kept = compressed(deflated.core, errors)
        if len(kept.core) == 0:
            return None
        if len(kept.core) == len(deflated.core):
            break
        deflated, errors = deflated.without(kept), rounding_errors(kept.core, kept.frame, N)
    return deflated


def _from_schur_form(deflated: _Deflated) -> Attempt:
    """Trusted by a bound from the condition of the eigenvalues, or else by the response to larger errors."""
    form = sorted_schur(deflated.core)
    graded = power(form, deflated.exponent)
    values = deflated.values(form, graded)
    if np.isnan(values).any():
        return _checked(deflated.growth(graded), np.inf, 0.0, "Schur form")
    conditions = _conditions(graded)
    bound = _bound(form, graded, deflated, conditions)
    if bound <= _TRUSTED_BOUND:
        return _checked(values, bound, _TRUSTED_BOUND, "Schur form")
    if not conditions.max() < _WORST_CONDITION:
        return _checked(values, np.inf, 0.0, "Schur form")
    response = float(differences(values[None], _perturbed_values(deflated)[None])[0])
    error = _SCHUR_ROUNDINGS * _EPS / _PERTURBATION * response
    return _checked(values, error, _TRUSTED_RESPONSE, "Schur form")


def _conditions(graded: GradedPower) -> Array:
    """kappa_i = norm(row i of M) norm(column i of M^-1).

    The rows of M are left eigenvectors in the limit and the columns of its inverse right ones, so that these
    are the condition numbers of the eigenvalues; before the limit they are those of the sums that matter.
    """
    M = graded.rows
    return np.asarray(np.linalg.norm(M, axis=1) * np.linalg.norm(np.linalg.inv(M), axis=0))


def _bound(form: SchurForm, graded: GradedPower, deflated: _Deflated, conditions: Array) -> float:
    """T eps norm(W) kappa_i / |lambda_i|, relative to max(1, abs(ln sigma_i))."""
    errors = deflated.exponent * _EPS * deflated.norm * conditions * np.exp(-form.log_moduli)
    relative = errors / np.maximum(1.0, np.abs(graded.log_scales + deflated.log_scale))
    return float(np.nan_to_num(relative, nan=np.inf, posinf=np.inf).max())


def _perturbed_values(deflated: _Deflated) -> Array:
    """The values after errors of _PERTURBATION in the Schur form, in every product and in the last rows.

    A triangular matrix is its own Schur form, which then has no errors.
    """
    random, W = np.random.default_rng(60), deflated.core

    def noise(scale: Array | float) -> Array:
        return np.asarray(_PERTURBATION * scale * random.standard_normal(W.shape) / math.sqrt(len(W)))

    exact = deflated.left is None and not np.tril(W, -1).any()
    form = sorted_schur(W if exact else W + noise(deflated.norm))
    graded = power(form, deflated.exponent, _PERTURBATION)
    lengths = np.linalg.norm(graded.rows, axis=1, keepdims=True)
    return deflated.values(form, GradedPower(graded.log_scales, graded.rows + noise(lengths)))
