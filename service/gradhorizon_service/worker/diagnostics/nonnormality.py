"""How far the eigenvalues of the recurrent matrix, or of a linear step, are from telling the whole story."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..cells import Bounded
from ..horizon import LN10
from ..matrix_analysis import henrici_departure, kreiss_constant, log_eigenvector_condition, schur_form
from ..products.power_peaks import PeakNorm, peak_norm
from ..runs import PowersRun, Run


@dataclass(frozen=True, eq=False)
class Nonnormality:
    """The contract's measures; None with a reason where one is infinite.

    `about` is "recurrent_matrix" (W) or "step_jacobian" (J).
    """

    about: str
    log10_eigenvector_condition: float | None
    log10_eigenvector_condition_reason: str | None
    henrici_departure: float
    kreiss_constant: float | None
    kreiss_constant_reason: str | None
    kreiss_constant_is_lower_bound: bool
    log10_peak: float
    peak_step: int
    peak_is_exact: bool
    eigenvalues_mislead: bool
    says: str


_MISLEADING_DECADES = 1.0
"""Powers that rise this far above what the spectral radius allows a normal matrix are not described by it."""

_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)
"""A point of the unit circle has a modulus this close to one."""


def nonnormality(run: Run) -> Nonnormality:
    """Report on the matrix of every step where a linear one is not W itself, else on W, over the run's depth."""
    is_step = isinstance(run.cell, Bounded) and run.step_matrix is not None
    matrix = run.step_matrix if is_step else run.matrix
    assert matrix is not None, "the diagnostic applies only to cells with a recurrent matrix"
    if isinstance(matrix, BlockDiagonal):
        return _normal(matrix, run.depth)
    peak = run.peak if isinstance(run, PowersRun) else peak_norm(matrix, run.depth)
    return matrix_nonnormality(matrix, run.depth, peak, "step_jacobian" if is_step else "recurrent_matrix")


def matrix_nonnormality(
    matrix: Array, depth: int, peak: PeakNorm, about: str = "recurrent_matrix"
) -> Nonnormality:
    """Analyse a square matrix (N, N), given the peak of its powers 0..depth."""
    form = schur_form(matrix)
    condition = log_eigenvector_condition(form)
    kreiss = kreiss_constant(form)
    with np.errstate(divide="ignore"):
        log_radius = float(np.log(np.max(np.abs(form.eigenvalues))))
    predicted = max(0.0, depth * log_radius) if log_radius > -np.inf else 0.0
    misleads = (peak.log_peak - predicted) / LN10 >= _MISLEADING_DECADES
    infinite = not np.isfinite(condition.log_value)
    return Nonnormality(
        about,
        None if infinite else condition.log_value / LN10,
        condition.reason,
        henrici_departure(form),
        kreiss.value,
        kreiss.reason,
        kreiss.is_lower_bound,
        peak.log_peak / LN10,
        peak.peak_step,
        peak.exact,
        bool(misleads),
        _says(_LETTERS[about], bool(misleads), log_radius, peak.log_peak / LN10, peak.peak_step),
    )


def _normal(matrix: BlockDiagonal, depth: int) -> Nonnormality:
    """A block-diagonal matrix is normal: its eigenvalues do tell everything."""
    radius = float(np.max(np.abs(matrix.multipliers)))
    if abs(radius - 1.0) <= _ROUNDING:
        radius = 1.0
    log10_peak = max(0.0, depth * float(np.log10(radius))) if radius > 0 else 0.0
    reason = (
        None
        if radius <= 1
        else f"the spectral radius {radius:.6g} is above 1, so the powers grow without bound"
    )
    return Nonnormality(
        "recurrent_matrix",
        0.0,
        None,
        0.0,
        1.0 if radius <= 1 else None,
        reason,
        False,
        log10_peak,
        depth if radius > 1 else 0,
        True,
        False,
        "the matrix is normal: its eigenvalues tell the whole story",
    )


_LETTERS = {"recurrent_matrix": "W", "step_jacobian": "J"}


def _says(letter: str, misleads: bool, log_radius: float, log10_peak: float, peak_step: int) -> str:
    radius = np.exp(log_radius)
    if misleads:
        return (
            f"the spectral radius is {radius:.4g}, yet the norm of {letter}^k reaches 10^{log10_peak:.2f} at "
            f"k = {peak_step}: the eigenvalues alone mislead"
        )
    return f"over this depth the powers of {letter} do what the eigenvalues lead one to expect, within a factor of ten"
