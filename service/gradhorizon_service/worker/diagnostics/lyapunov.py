"""Lyapunov exponents along the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..products.lyapunov import kaplan_yorke_dimension
from ..runs import Run
from ..statistics import median


@dataclass(frozen=True, eq=False)
class Lyapunov:
    """Exponents in nats per step, largest first, the median over the batch per index; NaN where undefined."""

    exponents: Array
    exponents_reason: str | None
    standard_errors: Array
    standard_errors_reason: str | None
    converged: bool
    transient_steps: int
    kaplan_yorke_dimension: float | None
    kaplan_yorke_dimension_reason: str | None
    sum_of_exponents: float | None
    sum_of_exponents_reason: str | None
    mean_log_abs_det: float | None
    mean_log_abs_det_reason: str | None


# Rounding errors up to these nats a step are not worth a word.
_NOTABLE = 1e-3
_NULL = "this direction is annihilated: its exponent is minus infinity"


def lyapunov(run: Run) -> Lyapunov:
    """Report the exponents with their checks."""
    found = run.lyapunov(run.problem.leading)
    run.algorithms["lyapunov"] = found.algorithm
    worst = float(median(found.rounding_errors, axis=0).max(initial=0.0))
    if worst > _NOTABLE:
        run.warnings.append(
            f"lyapunov: single steps shrink some directions so much more than others that rounding moves the smallest "
            f"exponents by {worst:.2g} nats a step or more; standard_errors hold that"
        )
    exponents = median(found.exponents, axis=0)
    errors = median(found.standard_errors, axis=0)
    whole = len(exponents) == found.size
    dimension = kaplan_yorke_dimension(exponents) if whole else None
    total = float(np.median(found.sum_of_exponents)) if whole else -np.inf
    annihilated = bool(np.isneginf(exponents).any())
    determinant, determinant_reason = _determinant(found.mean_log_abs_det, annihilated)
    partial = f"only the leading {len(exponents)} of {found.size} exponents were asked for"
    return Lyapunov(
        exponents=_undefined_as_nan(exponents),
        exponents_reason=_NULL if np.isneginf(exponents).any() else None,
        standard_errors=_undefined_as_nan(errors),
        standard_errors_reason=None if np.isfinite(errors).all() else found.error_reason,
        converged=bool(np.all(found.converged)),
        transient_steps=found.transient,
        kaplan_yorke_dimension=dimension,
        kaplan_yorke_dimension_reason=_dimension_reason(dimension, exponents, whole, partial),
        sum_of_exponents=total if np.isfinite(total) else None,
        sum_of_exponents_reason=None if np.isfinite(total) else (_NULL if whole else partial),
        mean_log_abs_det=determinant,
        mean_log_abs_det_reason=determinant_reason,
    )


def _determinant(found: Array | None, annihilated: bool) -> tuple[float | None, str | None]:
    """The median over the batch, or None with the reason."""
    if found is None:
        return None, "determinants would cost more than the few exponents asked for"
    if annihilated:
        return None, "some step Jacobian, perhaps in the discarded transient, is exactly singular"
    middle = float(np.median(found))
    return (middle, None) if np.isfinite(middle) else (None, "some step Jacobian is exactly singular")


def _undefined_as_nan(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def _dimension_reason(dimension: float | None, exponents: Array, whole: bool, partial: str) -> str | None:
    if dimension is not None:
        return None
    if not whole:
        return partial
    return (
        "the largest exponent is not positive: the attractor has no fractal dimension"
        if (len(exponents) == 0 or exponents[0] <= 0)
        else "the exponents sum to a positive number: volumes grow"
    )
