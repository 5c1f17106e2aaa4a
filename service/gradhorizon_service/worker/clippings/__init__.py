"""What clipping policies make of given gradients, or of a history of their norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..clipping import ClippingPolicy
from ..norm_history import NormHistory, describe
from ..threshold_advice import ThresholdAdvice, advise
from .gradients import SMALL_VALUES, ClippedGradients, GradientsBefore, clipped_gradients
from .norms import ClippedHistory, clipped_history

__all__ = [
    "SMALL_VALUES",
    "ClippedGradients",
    "ClippedHistory",
    "ClippingsProblem",
    "ClippingsResult",
    "clippings",
]


@dataclass(frozen=True, eq=False)
class ClippingsProblem:
    """Gradients by name or norms (T,), one of them; policies; the format the framework holds gradients in."""

    gradients: Mapping[str, Array] | None
    norms: Array | None
    policies: tuple[ClippingPolicy, ...]
    dtype: str
    max_points: int
    include_values: bool


@dataclass(frozen=True, eq=False)
class ClippingsResult:
    """Either gradients and what comes out of them by policy, or a history and what would have; advice for both."""

    gradients: GradientsBefore | None
    policies: list[ClippedGradients] | list[ClippedHistory]
    history: NormHistory | None
    advice: ThresholdAdvice
    warnings: list[str]


def clippings(problem: ClippingsProblem) -> ClippingsResult:
    """Run every policy on the gradients, or on each norm of the history."""
    if problem.gradients is not None:
        before, clipped, warnings = clipped_gradients(
            problem.gradients, problem.policies, problem.dtype, include_values=problem.include_values
        )
        with np.errstate(over="ignore"):
            advice = advise(np.power(10.0, np.array([before.log10_total_norm])))
        return ClippingsResult(before, clipped, None, advice, warnings)
    norms = problem.norms
    assert norms is not None, "one of the two is given"
    history = describe(norms, problem.max_points)
    histories = [clipped_history(policy, norms, history.step, problem.dtype) for policy in problem.policies]
    return ClippingsResult(None, histories, history, advise(norms), [])
