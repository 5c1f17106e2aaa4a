"""A linear recurrence, eigenmode by eigenmode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..eigenmodes import DiagonalModes, EigenModes, eigenmodes
from ..horizon import LN10
from ..problem import Problem
from ..runs import Run
from ._diagnostic import without_matrix

_NEUTRAL = 1e-9
_NOISE = 1e-14
"""Coefficients this far below the largest are rounding errors of the change to the eigenbasis."""
_TIED = 1e-9
"""Two moduli whose logarithms differ by less grow alike: neither mode ever overtakes the other."""


def not_linear(problem: Problem) -> str | None:
    """Why there are no modes to report on."""
    if not problem.network.kind.is_linear:
        return "only a linear recurrence splits into eigenmodes"
    return without_matrix(problem)


@dataclass(frozen=True, eq=False)
class Modes:
    """Growth over the depth, class and shares by mode, largest modulus first; NaN shares where they mean nothing."""

    eigenvalues: Array
    log10_growth: Array
    growth_class: list[str]
    initial_state_share: Array
    cotangent_share: Array
    share_reason: str | None
    dominant_mode: int | None
    dominant_from_step: int | None
    alignment: float | None
    dominance_reason: str | None


def modes(run: Run) -> Modes:
    """Report every eigenmode of the recurrent matrix."""
    matrix = run.matrix
    assert matrix is not None, "the diagnostic applies to linear cells only"
    found = DiagonalModes(matrix) if isinstance(matrix, BlockDiagonal) else eigenmodes(matrix)
    with np.errstate(divide="ignore"):
        log_moduli = np.log(np.abs(found.eigenvalues))
    state = found.right_coefficients(run.initial_state)
    cotangent = found.left_coefficients(run.cotangent)
    noise = 0.0 if isinstance(found, DiagonalModes) else _NOISE
    dominant, from_step, reason = _dominance(found.eigenvalues, log_moduli, state, noise, run.depth)
    return Modes(
        found.eigenvalues,
        run.depth * log_moduli / LN10 if run.depth else np.zeros(len(log_moduli)),
        [_growth_class(value) for value in log_moduli],
        _share(state, len(log_moduli)),
        _share(cotangent, len(log_moduli)),
        _share_reason(state, cotangent),
        dominant,
        from_step,
        None if dominant is None else _alignment(found, dominant, run.final_direction()),
        reason,
    )


def _growth_class(log_modulus: float) -> str:
    if abs(log_modulus) <= _NEUTRAL:
        return "neutral"
    return "exploding" if log_modulus > 0 else "vanishing"


def _share(coefficients: Array | None, size: int) -> Array:
    """|c_i|^2 / sum |c_j|^2, the mean over sequences that have any."""
    if coefficients is None:
        return np.full(size, np.nan)
    rows = _directions(coefficients)
    if len(rows) == 0:
        return np.full(size, np.nan)
    squares = np.abs(rows) ** 2
    return np.asarray((squares / squares.sum(axis=1, keepdims=True)).mean(axis=0))


def _directions(rows: Array) -> Array:
    """The rows that are not zero, scaled to a largest entry of one: their squares may lie beyond float64."""
    sizes = np.abs(rows).max(axis=1, keepdims=True)
    return np.asarray(rows[sizes[:, 0] > 0] / sizes[sizes[:, 0] > 0])


def _share_reason(state: Array | None, cotangent: Array | None) -> str | None:
    if state is None or cotangent is None:
        return "the eigenvectors are too close to dependent for coefficients in them to mean anything"
    if not np.any(state):
        return "the initial state is zero"
    return None if np.any(cotangent) else "the cotangent is zero"


def _dominance(
    eigenvalues: Array, log_moduli: Array, state: Array | None, noise: float, depth: int
) -> tuple[int | None, int | None, str | None]:
    """The mode (with its conjugate) that comes to hold more of the state than all others together, and from when.

    Among the modes the state has a part in, the one of largest modulus wins; its lead over the sum of the others
    only grows, so that the first step is found by bisection. None within the depth, or for tied moduli.
    """
    if state is None:
        return None, None, "the eigenvectors are too close to dependent to split the state into modes"
    if not state.any():
        return None, None, "the initial state is zero"
    weights = np.sqrt(np.mean((np.abs(state) / np.abs(state).max()) ** 2, axis=0))
    present = weights > noise * weights.max()
    leader = int(np.argmax(np.where(present, log_moduli, -np.inf)))
    family = np.abs(log_moduli - log_moduli[leader]) <= _TIED if np.isfinite(log_moduli[leader]) else present
    if not _is_one_mode(eigenvalues[family & present]):
        return None, None, "several modes share the largest modulus, and none overtakes the others"
    lead = _lead(log_moduli, weights, family & present)
    if lead(depth) <= 0:
        return None, None, f"no mode outweighs the others within {depth} steps"
    low, high = -1, depth
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if lead(middle) > 0 else (middle, high)
    return leader, high, None


def _is_one_mode(eigenvalues: Array) -> bool:
    """Whether these are one eigenvalue, or one and its conjugate; 0.9 and -0.9 are two modes, and so is 0.9 twice."""
    if len(eigenvalues) == 1:
        return True
    return len(eigenvalues) == 2 and eigenvalues[0].imag != 0.0 and eigenvalues[0] == eigenvalues[1].conj()


def _lead(log_moduli: Array, weights: Array, family: Array):  # type: ignore[no-untyped-def]
    with np.errstate(divide="ignore"):
        logs = np.log(weights)

    def lead(step: int) -> float:
        """ln(part in the family) - ln(part in all other modes) after `step` steps."""
        grown = 2.0 * (logs + (step * log_moduli if step else 0.0))
        inside = np.logaddexp.reduce(grown[family])
        outside = np.logaddexp.reduce(grown[~family], initial=-np.inf)
        return float(inside - outside) if np.isfinite(outside) else np.inf

    return lead


def _alignment(found: EigenModes | DiagonalModes, dominant: int, states: Array) -> float | None:
    """Median cosine between the final state and the real eigenspace of the dominant mode."""
    directions = _directions(states)
    return float(np.median(found.alignment(dominant, directions))) if len(directions) else None
