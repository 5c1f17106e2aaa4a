"""Every singular value of W^T at a cost that does not depend on T, and when to go factor by factor instead."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .._types import Array
from .attempts import Attempt, differences, doubt_about, in_integers, response_to_rounding
from .compression import Compression, compressed, rounding_errors
from .decoupling import scalar_products, uncoupled_groups
from .determinants import log_determinant
from .factors import Repeated
from .graded import log_singular_values_of_graded, normalised, premultiplied
from .schur_power import GradedPower, SchurForm, power, sorted_schur
from .singular_values import LogSingularValues, collected, exactly, log_singular_values, merged

_EPS = float(np.finfo(float).eps)
# Errors made on purpose, and what of the estimates can be trusted; errors are relative to max(1, abs(ln sigma)).
_PERTURBATION = 1e-10
_SCHUR_ROUNDINGS = 32
_JACOBI_ROUNDINGS = 8
# Beyond this condition of the graded rows nothing of the small singular values is left to respond.
_WORST_CONDITION = 1e14
_TRUSTED_BOUND = 4e-9
_TRUSTED_RESPONSE = 2e-9
# Seconds that going factor by factor may take, and when it is as fast as the Schur form.
_AFFORDABLE = 1.5


def singular_values_of_repeated(matrix: Array, steps: int) -> LogSingularValues:
    """ln sigma of W^T, (1, N), by whichever way is cheap and sure: factor by factor, or from the Schur form."""
    by_factors = _seconds_by_factors(len(matrix), steps)
    if steps <= len(matrix) or by_factors <= _seconds_by_schur(len(matrix)):
        return log_singular_values(Repeated(matrix, steps))
    values = log_singular_values_of_power(matrix, steps)
    if values.reliable.all() or by_factors > _AFFORDABLE:
        return values
    alternative = log_singular_values(Repeated(matrix, steps))
    return min(alternative, values, key=lambda one: (not one.reliable.all(), one.estimated_error.max()))


def _seconds_by_factors(size: int, steps: int) -> float:
    """About 30 microseconds a step and five products of N x N matrices."""
    return steps * (30e-6 + 3e-10 * size**3)


def _seconds_by_schur(size: int) -> float:
    """About a millisecond and a hundred products."""
    return 1e-3 + 1e-8 * size**3


def log_singular_values_of_power(matrix: Array, exponent: int) -> LogSingularValues:
    """ln sigma of W^T, (1, N), -inf for the dimensions that W^T has lost. Blocks that W does not couple go separately."""
    if exponent == 0:
        return exactly(np.zeros((1, len(matrix))), "identity")
    parts = []
    for group in uncoupled_groups(Repeated(matrix, exponent)):
        if group.shape[1] == 1:
            parts.append(exactly(scalar_products(Repeated(matrix, exponent), group[:, 0]), "sums of logarithms"))
        else:
            blocks = [matrix[np.ix_(component, component)] for component in group]
            parts.append(collected([_of_coupled(block, exponent) for block in blocks], len(blocks)))
    return merged(parts)


def _of_coupled(W: Array, exponent: int) -> Attempt:
    """One block, with at least two coordinates."""
    with np.errstate(all="ignore"):  # what overflows fails the checks
        attempt = _attempted(_Scaled.of(W, exponent))
        if attempt.doubt and np.isfinite(attempt.log_values).all():
            return next(in_integers(Repeated(W, exponent), attempt.log_values), attempt)
        return attempt


@dataclass(frozen=True, eq=False)
class _Scaled:
    """W^T = exp(log_scale) matrix^exponent, the largest entry of the matrix being close to 1."""

    matrix: Array
    exponent: int
    log_scale: float

    @classmethod
    def of(cls, W: Array, exponent: int) -> _Scaled:
        shift = int(np.frexp(np.abs(W).max())[1])
        return cls(np.ldexp(W, -shift), exponent, exponent * shift * math.log(2.0))


def _attempted(scaled: _Scaled) -> Attempt:
    W, exponent = scaled.matrix, scaled.exponent
    log_determinant_of_W = log_determinant(W)
    if log_determinant_of_W is None:
        deflated = _deflated(scaled)
        return _from_schur_form(deflated) if deflated else Attempt(np.full(len(W), -np.inf), 0.0, 0.0, None, "nilpotent")
    symmetric = np.array_equal(W, W.T) or np.array_equal(W, -W.T)
    attempt = _of_symmetric(scaled) if symmetric else _from_schur_form(_whole(scaled))
    expected = exponent * log_determinant_of_W + len(W) * scaled.log_scale
    gap = float(np.abs(attempt.log_values.sum() - expected))
    doubt = attempt.doubt or doubt_about(attempt.log_values, 0.0, gap, 0.0)
    return replace(attempt, determinant_gap=gap, doubt=doubt)


def _checked(values: Array, error: float, trusted: float, algorithm: str) -> Attempt:
    return Attempt(values, error, 0.0, doubt_about(values, error, 0.0, trusted), algorithm)


def _of_symmetric(scaled: _Scaled) -> Attempt:
    """sigma(W^T) = sigma(W)^T for W = W^T or W = -W^T; the small ones too come with their relative accuracy."""
    W = scaled.matrix
    noise = np.random.default_rng(50).standard_normal(W.shape)
    values, perturbed = (
        scaled.log_scale
        + scaled.exponent * log_singular_values_of_graded(normalised(np.zeros((1, len(W))), matrix[None]))
        for matrix in (W, W * (1.0 + _PERTURBATION * (noise + noise.T)))
    )
    error = response_to_rounding(differences(values, perturbed), _JACOBI_ROUNDINGS, _PERTURBATION)
    return _checked(values[0], float(error[0]), _TRUSTED_BOUND, "singular values of a symmetric matrix")


@dataclass(frozen=True, eq=False)
class _Deflated:
    """W^T = exp(log_scale) left @ core^exponent @ right, the core (r, r) without what W^T annihilates.

    left (N, r) and right (r, N) are None for the identity. The entries of the core carry rounding errors of eps times a
    matrix of the Frobenius norm ``norm``.
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
            product = premultiplied(np.linalg.qr(self.left @ form.Z, mode="r")[None], product)
        lost = np.full(rows.shape[1] - rows.shape[0], -np.inf)
        return np.concatenate([log_singular_values_of_graded(product)[0], lost])


def _whole(scaled: _Scaled) -> _Deflated:
    return _Deflated(scaled.matrix, scaled.exponent, scaled.log_scale, float(np.linalg.norm(scaled.matrix)))


def _deflated(scaled: _Scaled) -> _Deflated | None:
    """Without the dimensions that W loses, one after the other; None where nothing is left."""
    N = len(scaled.matrix)
    deflated, errors = _whole(scaled), rounding_errors(scaled.matrix, np.eye(N), N)
    while deflated.exponent:
        kept = compressed(deflated.core, errors)
        if len(kept.core) == len(deflated.core):
            break
        if len(kept.core) == 0:
            return None
        deflated, errors = deflated.without(kept), rounding_errors(kept.core, kept.frame, N)
    return deflated


def _from_schur_form(deflated: _Deflated) -> Attempt:
    """Trusted by a bound from the condition of the eigenvalues, or else by the response to larger errors."""
    form = sorted_schur(deflated.core)
    graded = power(form, deflated.exponent)
    values = deflated.values(form, graded)
    if np.isnan(values).any():
        growth = np.sort(graded.log_scales + deflated.log_scale)[::-1]
        return _checked(np.concatenate([growth, values[len(growth) :]]), np.inf, 0.0, "Schur form")
    conditions = _conditions(graded)
    bound = _bound(form, graded, deflated, conditions)
    if bound <= _TRUSTED_BOUND:
        return _checked(values, bound, _TRUSTED_BOUND, "Schur form")
    if not conditions.max() < _WORST_CONDITION:
        return _checked(values, np.inf, 0.0, "Schur form")
    response = differences(values[None], _perturbed_values(deflated)[None])
    error = float(response_to_rounding(response, _SCHUR_ROUNDINGS, _PERTURBATION)[0])
    return _checked(values, error, _TRUSTED_RESPONSE, "Schur form")


def _conditions(graded: GradedPower) -> Array:
    """kappa_i = norm(row i of M) norm(column i of M^-1).

    The rows of M are left eigenvectors in the limit and the columns of its inverse right ones, so that these are the condition
    numbers of the eigenvalues; before the limit they are those of the sums that matter.
    """
    return np.linalg.norm(graded.rows, axis=1) * np.linalg.norm(np.linalg.inv(graded.rows), axis=0)


def _bound(form: SchurForm, graded: GradedPower, deflated: _Deflated, conditions: Array) -> float:
    """T eps norm(W) kappa_i / |lambda_i|, relative to max(1, abs(ln sigma_i))."""
    errors = deflated.exponent * _EPS * deflated.norm * conditions * np.exp(-form.log_moduli)
    relative = errors / np.maximum(1.0, np.abs(graded.log_scales + deflated.log_scale))
    return float(np.nan_to_num(relative, nan=np.inf).max())


def _perturbed_values(deflated: _Deflated) -> Array:
    """The values after errors of _PERTURBATION in the Schur form, in every product and in the last rows.

    A triangular matrix is its own Schur form, which then has no errors.
    """
    random, W = np.random.default_rng(60), deflated.core

    def noise(scale: Array | float) -> Array:
        return _PERTURBATION * scale * random.standard_normal(W.shape) / np.sqrt(len(W))

    form = sorted_schur(W + noise(deflated.norm) if np.tril(W, -1).any() or deflated.left is not None else W)
    graded = power(form, deflated.exponent, _PERTURBATION)
    lengths = np.linalg.norm(graded.rows, axis=1, keepdims=True)
    return deflated.values(form, GradedPower(graded.log_scales, graded.rows + noise(lengths)))
