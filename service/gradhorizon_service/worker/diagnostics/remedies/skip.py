"""A second path over d steps, h_t = phi(W h_{t-1} + V h_{t-d} + U x_t + b): the shortest delay that is enough."""

from __future__ import annotations

import numpy as np

from ...block_diagonal import BlockDiagonal
from ...problem import Problem
from ._remedy import MOST_STEPS, Remedy, Subject, Trial, effect_of
from ._search import farthest
from .orthogonalise import polar_factor

_CELLS = ("linear", "rnn")
_DELAYS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_MOST_NUMBERS = 1 << 25
"""States kept along the run: steps, sequences, and d copies of h."""


def _not_applicable(problem: Problem) -> str | None:
    weights = problem.network.parameters.get("weights")
    if problem.network.cell not in _CELLS:
        return f"a delayed skip is tried on {', '.join(_CELLS)} cells, and this one is {problem.network.cell}"
    if getattr(weights, "is_diagonal", False) or isinstance(weights, BlockDiagonal):
        return "a delayed skip is not tried on a recurrence that is kept as its spectrum"
    if problem.depth > MOST_STEPS:
        return f"a delayed skip is run step by step, up to {MOST_STEPS} steps"
    if not _delays(problem):
        return "the depth is under 4, or the copies of the state that a delay needs are too many to keep"
    return None


def _delays(problem: Problem) -> list[int]:
    """Delays below half the depth whose states fit the memory."""
    size = problem.network.parameters["weights"].shape[0]
    rows = problem.depth * problem.batch * size
    return [d for d in _DELAYS if 2 * d <= problem.depth and d * rows <= _MOST_NUMBERS]


def _search(subject: Subject) -> tuple[Trial, int]:
    delays = _delays(subject.problem)
    tried = {len(delays) - 1: _trial(subject, delays[-1])}
    low, high = -1, len(delays) - 1
    while np.isinf(tried[high].effect.reach) and high - low > 1:
        middle = (low + high) // 2
        tried[middle] = _trial(subject, delays[middle])
        low, high = (low, middle) if np.isinf(tried[middle].effect.reach) else (middle, high)
    if np.isinf(tried[high].effect.reach):
        return tried[high], len(tried)
    for index in range(0, len(delays) - 1, 2):
        tried[index] = _trial(subject, delays[index])
    return farthest([*tried.values()]), len(tried)


def _trial(subject: Subject, delay: int) -> Trial:
    matrix = subject.matrix()
    assert isinstance(matrix, np.ndarray)
    activation = {"activation": "identity"} if subject.problem.network.cell == "linear" else {}
    changed = subject.with_parameters(
        "skip", delay=delay, skip_weights=polar_factor(matrix), combine="inside", **activation
    )
    return Trial({"delay": delay, "skip_weights": "polar factor of W"}, effect_of(changed))


skip = Remedy(
    _not_applicable,
    _search,
    "as many weights again, and the last d states to keep; a gradient still shrinks along the skips, d times slower, "
    "and two paths add up, so that it may grow where each alone would not",
    is_mildest=True,
)
