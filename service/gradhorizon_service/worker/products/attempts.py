"""Evaluations of ln sigma of one product, and the checks that say how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .determinants import Determinants, explicit_determinants, sampled_determinants
from .factors import Factors, Reversed, sequence_of
from .graded import log_singular_values_of_graded
from .integer_product import log_singular_values_in_integers
from .lu_frames import LARGE
from .lu_sweep import Sweep, log_diagonals, random_starts, random_units, sweep
from .ranked_product import ranked_product

_EPS = float(np.finfo(np.float64).eps)
# What float32 says of the errors of float64: their ratio, and a margin.
_ERRORS_OF_FLOAT32 = 4.0 * _EPS / float(np.finfo(np.float32).eps)
# Errors are relative to max(1, abs(ln sigma)). What is promised is 1e-8; two evaluations may agree by chance.
_TRUSTED_ESTIMATE = 1e-9
_TRUSTED_DIFFERENCE = 2e-10
# A sum may be off by this much in every term.
_TRUSTED_GAP = 1e-9
# Nats after which what fell behind has left the range of float64, in one factor or over many, or of float32.
_LOST = 500.0
_LOST_IN_FLOAT32 = 60.0


@dataclass(frozen=True, eq=False)
class Attempt:
    """ln sigma (N,) of one sequence, largest first, the error to expect, and why they may be wrong after all.

    ``error`` is relative to max(1, abs(ln sigma)), ``determinant_gap`` abs(sum ln sigma - sum ln|det J_t|).
    """

    log_values: Array
    error: float
    determinant_gap: float
    doubt: str | None
    algorithm: str


def evaluated(factors: Factors) -> list[Attempt]:
    """The best attempt for every sequence: for all at once, then again for those that leave a doubt."""
    with np.errstate(all="ignore"):  # what overflows is found by the checks
        exact = explicit_determinants(factors)
        if exact is not None and exact.singular.all():
            return [_ranked(sequence_of(factors, b)) for b in range(factors.batch)]
        attempts, determinants = (_twice if factors.size < LARGE else _in_two_precisions)(factors, exact)
        return [
            _ranked(sequence_of(factors, b)) if singular else _improved(attempt, sequence_of(factors, b))
            for b, (attempt, singular) in enumerate(zip(attempts, determinants.singular, strict=True))
        ]


def _twice(factors: Factors, exact: Determinants | None) -> tuple[list[Attempt], Determinants]:
    """Values trusted if two sweeps agree on them that share no rounding errors."""
    swept = sweep(factors, runs=2)
    determinants = exact or sampled_determinants(factors, swept.log_pivots[:, ::2], swept.spreads[:, ::2])
    values = _finite_values(swept)
    errors = differences(values[::2], values[1::2])
    lost = [first or second for first, second in zip(_lost(swept)[::2], _lost(swept)[1::2], strict=True)]
    attempts = _attempts(values[::2], errors, determinants, lost, _TRUSTED_DIFFERENCE, "two graded LU sweeps")
    return attempts, determinants


def _in_two_precisions(factors: Factors, exact: Determinants | None) -> tuple[list[Attempt], Determinants]:
    """Values trusted if float32, for less than half the work, finds about the same volumes.

    The product of the first k diagonals of R is the volume that k columns of the start frame come to have.
    Its errors in float32 are those of float64, magnified; beyond a nat they no longer grow in proportion.
    """
    swept = sweep(factors, runs=1)
    determinants = exact or sampled_determinants(factors, swept.log_pivots, swept.spreads)
    values = _finite_values(swept)
    if swept.spreads.max() < _LOST_IN_FLOAT32:
        rough = log_diagonals(factors, np.float32)
        proportional = np.abs(swept.log_diagonals - rough).max(axis=1) <= 1.0
        errors = np.where(proportional, _ERRORS_OF_FLOAT32 * differences(swept.log_diagonals, rough), np.inf)
    else:
        errors = np.full(len(values), np.inf)
    attempts = _attempts(values, errors, determinants, _lost(swept), _TRUSTED_ESTIMATE, "graded LU sweep")
    return attempts, determinants


def _attempts(
    values: Array,
    errors: Array,
    determinants: Determinants,
    lost: list[str | None],
    trusted: float,
    algorithm: str,
) -> list[Attempt]:
    gaps = np.abs(values.sum(axis=1) - determinants.log_sum)
    return [
        Attempt(v, e, gap, doubt or doubt_about(v, e, gap, trusted), algorithm)
        for v, e, gap, doubt in zip(values, errors.tolist(), gaps.tolist(), lost, strict=True)
    ]


def _finite_values(swept: Sweep) -> Array:
    """ln sigma (S, N), or how fast the pivots grew where the sweep broke down."""
    values = log_singular_values_of_graded(swept.product)
    growth = -np.sort(-np.nan_to_num(swept.log_diagonals, nan=-np.inf, neginf=-np.inf), axis=1)
    return np.where(np.isfinite(values).all(axis=1, keepdims=True), values, growth)


def _lost(swept: Sweep) -> list[str | None]:
    """A sentence where something of weight left the range of float64, for every run."""
    kept = (swept.spreads.max(axis=0) < _LOST) & (swept.reversals < _LOST)
    doubt = "directions that matter leave the range of float64 on the way"
    return [None if ok else doubt for ok in kept.tolist()]


def differences(values: Array, others: Array) -> Array:
    """The largest difference relative to max(1, abs(ln sigma)), (S,); infinite where either is broken."""
    with np.errstate(invalid="ignore"):
        relative = np.abs(values - others) / np.maximum(1.0, np.abs(values))
    relative[(values == -np.inf) & (others == -np.inf)] = 0.0
    return np.asarray(np.nan_to_num(relative, nan=np.inf, posinf=np.inf).max(axis=1, initial=0.0))


def doubt_about(values: Array, error: float, gap: float, trusted: float) -> str | None:
    """A sentence where the error of ln sigma, or their distance from the determinants, is too large."""
    if not error <= trusted:
        by_how_much = f"by {error:.1g} max(1, |ln sigma|)" if np.isfinite(error) else "beyond recognition"
        why = "a factor is nearly singular, or the product far from normal"
        return f"rounding errors may change ln sigma {by_how_much}: {why}"
    if not gap <= _TRUSTED_GAP * np.maximum(1.0, np.abs(values[values > -np.inf])).sum():
        return f"the sum of all ln sigma misses the sum of all ln|det J_t| by {gap:.1g}"
    return None


def _improved(first: Attempt, factors: Factors) -> Attempt:
    """The first attempt for one sequence that can be trusted, or the one with the smallest error."""
    best = first
    if first.doubt:
        for attempt in _further_attempts(first, factors):
            if not attempt.doubt:
                return attempt
            best = min(best, attempt, key=lambda one: one.error)
    return best


def _further_attempts(latest: Attempt, factors: Factors) -> Iterator[Attempt]:
    """From two starts, from the other end, which suits factors graded by columns, and in integers."""
    exact = explicit_determinants(factors)
    if factors.size >= LARGE:
        latest = _twice(factors, exact)[0][0]
        yield latest
    if doubt_about(latest.log_values, 0.0, latest.determinant_gap, 0.0):
        yield _twice(Reversed(factors), exact)[0][0]
    yield from in_integers(factors, latest.log_values)


def in_integers(factors: Factors, log_values: Array) -> Iterator[Attempt]:
    """The exact values of one sequence, given approximate ones; nothing where they would take too long."""
    spread = float(np.ptp(log_values)) if np.isfinite(log_values).all() else 0.0
    values = log_singular_values_in_integers(factors, spread)
    if values is not None:
        yield Attempt(values, _EPS, 0.0, None, "integer product")


def _ranked(factors: Factors) -> Attempt:
    """Values of a singular product of one sequence, trusted if two runs agree on them and on the rank."""
    runs = zip(random_starts(factors.size, 2), random_units(factors.size, 2), strict=True)
    both = [ranked_product(factors, start, units) for start, units in runs]
    values, others = (log_singular_values_of_graded(product)[0] for product in both)
    if len(values) == len(others):
        error = float(differences(values[None], others[None])[0])
        doubt = doubt_about(values, error, 0.0, _TRUSTED_DIFFERENCE)
    else:
        error, doubt = np.inf, f"the rank of the product may be {len(values)} or {len(others)}"
    padded = np.concatenate([values, np.full(factors.size - len(values), -np.inf)])
    return Attempt(padded, error, 0.0, doubt, "rank-revealing sweep")
