"""Evaluations of ln sigma for products that do not decouple, each with the checks that say how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .determinants import Determinants, explicit_determinants, sampled_determinants
from .factors import Factors, Reversed, sequence_of
from .graded import log_singular_values_of_graded
from .integer_product import log_singular_values_in_integers
from .lu_sweep import PERTURBATION, Sweep, random_starts, sweep
from .ranked_product import ranked_product

_EPS = float(np.finfo(float).eps)
# Errors are relative to max(1, abs(ln sigma)); what is promised is 1e-8. An estimate needs more margin than a comparison.
_TRUSTED_ESTIMATE = 1e-10
_TRUSTED_DIFFERENCE = 2e-9
# A sum may be off by this much in every term.
_TRUSTED_GAP = 1e-9
# Nats after which what fell behind has left the range of float64, within one factor or over many.
_LOST = 500.0


@dataclass(frozen=True, eq=False)
class Attempt:
    """ln sigma (N,) of one sequence, largest first, the error expected of them, and why they may be wrong after all.

    ``error`` is relative to max(1, abs(ln sigma)); ``determinant_gap`` is abs(sum ln sigma - sum ln abs det J_t).
    """

    log_values: Array
    error: float
    determinant_gap: float
    doubt: str | None
    algorithm: str


def evaluated(factors: Factors) -> list[Attempt]:
    """The best attempt for every sequence: one sweep for all of them, and more for those that need it."""
    determinants = explicit_determinants(factors)
    if determinants is not None and determinants.singular.all():
        return [_ranked(sequence_of(factors, b)) for b in range(factors.batch)]
    with np.errstate(all="ignore"):  # what overflows is found by the checks
        swept = sweep(factors, random_starts(factors.size, 1))
        determinants = determinants or sampled_determinants(factors, swept.log_pivots, swept.spreads)
        attempts = _perturbation_checked(swept, determinants)
        return [
            _ranked(sequence_of(factors, b)) if singular else _improved(attempt, factors, b)
            for b, (attempt, singular) in enumerate(zip(attempts, determinants.singular.tolist(), strict=True))
        ]


def _perturbation_checked(swept: Sweep, determinants: Determinants) -> list[Attempt]:
    """Values of one sweep, trusted if they hardly respond to errors put into it on purpose."""
    values = _finite_values(swept)
    response = differences(values, log_singular_values_of_graded(swept.perturbed))
    errors = response_to_rounding(response, 2 * values.shape[1], PERTURBATION)
    gaps = np.abs(values.sum(axis=1) - determinants.log_sum)
    return [
        Attempt(v, e, gap, lost or doubt_about(v, e, gap, _TRUSTED_ESTIMATE), "graded LU sweep")
        for v, e, gap, lost in zip(values, errors.tolist(), gaps.tolist(), _lost(swept), strict=True)
    ]


def _finite_values(swept: Sweep) -> Array:
    """ln sigma (S, N), or how fast the pivots grew where the sweep broke down."""
    values = log_singular_values_of_graded(swept.product)
    growth = -np.sort(-np.nan_to_num(swept.growth, nan=-np.inf), axis=1)
    return np.where(np.isfinite(values).all(axis=1, keepdims=True), values, growth)


def _lost(swept: Sweep) -> list[str | None]:
    """A sentence where something of weight left the range of float64, for every run."""
    kept = (swept.spreads.max(axis=0) < _LOST) & (swept.reversals < _LOST)
    return [None if ok else "directions that matter leave the range of float64 on the way" for ok in kept.tolist()]


def differences(values: Array, others: Array) -> Array:
    """The largest difference relative to max(1, abs(ln sigma)), (S,); infinite where either is broken."""
    with np.errstate(invalid="ignore"):
        relative = np.abs(values - others) / np.maximum(1.0, np.abs(values))
    relative[(values == -np.inf) & (others == -np.inf)] = 0.0
    return np.nan_to_num(relative, nan=np.inf).max(axis=1, initial=0.0)


def response_to_rounding(response: Array, roundings: float, perturbation: float) -> Array:
    """What so many rounding errors do, from what larger errors do."""
    return roundings * _EPS / perturbation * response


def doubt_about(values: Array, error: float, gap: float, trusted: float) -> str | None:
    """A sentence where the error expected of ln sigma, or their distance from the determinants, is too large."""
    if not error <= trusted:
        return (
            f"rounding errors may change ln sigma by {error:.1g} max(1, |ln sigma|): a factor is nearly singular,"
            " or the product far from normal"
        )
    if not gap <= _TRUSTED_GAP * np.maximum(1.0, np.abs(values[values > -np.inf])).sum():
        return f"the sum of all ln sigma misses the sum of all ln|det J_t| by {gap:.1g}"
    return None


def _improved(first: Attempt, factors: Factors, index: int) -> Attempt:
    """The first attempt for one sequence that can be trusted, or the one with the smallest error."""
    best = first
    if first.doubt:
        for attempt in _further_attempts(first, sequence_of(factors, index)):
            if not attempt.doubt:
                return attempt
            best = min(best, attempt, key=lambda one: one.error)
    return best


def _further_attempts(first: Attempt, factors: Factors) -> Iterator[Attempt]:
    """From other starts, from the other end, which suits factors graded by columns, and in integers."""
    exact = explicit_determinants(factors)
    forward = _compared(factors, exact)
    yield forward
    if doubt_about(forward.log_values, 0.0, forward.determinant_gap, 0.0):
        yield _compared(Reversed(factors), exact)
    yield from in_integers(factors, first.log_values)


def _compared(factors: Factors, determinants: Determinants | None) -> Attempt:
    """Values of one sequence, trusted if sweeps from two starts agree on them."""
    swept = sweep(factors, random_starts(factors.size, 3)[1:])
    determinants = determinants or sampled_determinants(factors, swept.log_pivots[:, :1], swept.spreads[:, :1])
    values, others = _finite_values(swept)
    error = float(differences(values[None], others[None])[0])
    gap = float(np.abs(values.sum() - determinants.log_sum[0]))
    lost = next(filter(None, _lost(swept)), None)
    doubt = lost or doubt_about(values, error, gap, _TRUSTED_DIFFERENCE)
    return Attempt(values, error, gap, doubt, "two graded LU sweeps")


def in_integers(factors: Factors, log_values: Array) -> Iterator[Attempt]:
    """The exact values of one sequence, given about how far they spread; nothing where they would take too long."""
    spread = float(np.ptp(log_values)) if np.isfinite(log_values).all() else 0.0
    values = log_singular_values_in_integers(factors, spread)
    if values is not None:
        yield Attempt(values, _EPS, 0.0, None, "integer product")


def _ranked(factors: Factors) -> Attempt:
    """Values of a singular product of one sequence, trusted if two starts agree on them and on the rank."""
    both = [ranked_product(factors, start) for start in random_starts(factors.size, 2)]
    values, others = (log_singular_values_of_graded(product)[0] for product in both)
    if len(values) == len(others):
        error = float(differences(values[None], others[None])[0])
        doubt = doubt_about(values, error, 0.0, _TRUSTED_DIFFERENCE)
    else:
        error, doubt = np.inf, f"the rank of the product may be {len(values)} or {len(others)}"
    padded = np.concatenate([values, np.full(factors.size - len(values), -np.inf)])
    return Attempt(padded, error, 0.0, doubt, "rank-revealing sweep")
