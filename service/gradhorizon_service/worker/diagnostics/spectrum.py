"""Eigenvalues and norms of the recurrent matrix, and what each of them does and does not prove."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..cells import Bounded
from ..matrix_analysis import (
    PascanuConditions,
    by_modulus,
    eigenvalues_sorted,
    mode_times,
    numerical_radius,
    pascanu_conditions,
    smallest_singular_value,
    spectral_norm,
    spectral_radius,
)
from ..runs import Run


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Modes in the order of the eigenvalues, largest modulus first; NaN half-life or period where undefined."""

    eigenvalues: Array
    spectral_radius: float
    spectral_norm: float
    smallest_singular_value: float
    numerical_radius: float
    half_life: Array
    half_life_reason: str | None
    period: Array
    period_reason: str | None
    conditions: PascanuConditions


def spectrum(run: Run) -> Spectrum:
    """Report on the recurrent matrix of a run."""
    matrix = run.matrix
    assert matrix is not None, "the diagnostic applies only to cells with a recurrent matrix"
    gamma = None if run.activation is None else run.activation.largest_slope
    if isinstance(matrix, BlockDiagonal):
        moduli = np.abs(matrix.multipliers)
        return _assemble(
            by_modulus(matrix.eigenvalues),
            float(moduli.max()),
            float(moduli.min()),
            float(moduli.max()),
            gamma,
        )
    found = matrix_spectrum(matrix, gamma)
    if not isinstance(run.cell, Bounded):
        return found
    radius = None if run.step_matrix is None else spectral_radius(run.step_matrix)
    return replace(found, conditions=run.cell.conditions(found.spectral_norm, radius))


def matrix_spectrum(matrix: Array, gamma: float | None) -> Spectrum:
    """Analyse a square matrix (N, N); gamma is the activation's largest slope, None for a linear recurrence."""
    eigenvalues = eigenvalues_sorted(matrix)
    return _assemble(
        eigenvalues,
        spectral_norm(matrix),
        smallest_singular_value(matrix),
        numerical_radius(matrix, eigenvalues),
        gamma,
    )


def _assemble(
    eigenvalues: Array, largest: float, smallest: float, radius: float, gamma: float | None
) -> Spectrum:
    modulus = float(np.abs(eigenvalues[0]))
    times = mode_times(eigenvalues)
    return Spectrum(
        eigenvalues,
        modulus,
        largest,
        smallest,
        radius,
        times.half_life,
        times.half_life_reason,
        times.period,
        times.period_reason,
        pascanu_conditions(modulus, largest, 1.0 if gamma is None else gamma, linear=gamma is None),
    )
