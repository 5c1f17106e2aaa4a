"""Backpropagation truncated to the last k lags: what is left of the gradient, and a horizon that stays where it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import runs
from ...problem import Problem
from ._remedy import MOST_STEPS, Remedy, Subject, Trial, effect_of_run
from ._update import log_update, update_factor

_MOST_NUMBERS = 1 << 25


def _not_applicable(problem: Problem) -> str | None:
    kind = problem.network.kind
    if not kind.is_recurrent or not kind.has_states:
        return "truncation cuts a recurrence, and this network is none"
    if problem.truncate is not None:
        return f"the loss is truncated already, to {problem.truncate} lags"
    if problem.clipping is not None and problem.clipping.kind == "per_step":
        return "clipping at every step and truncation cannot be combined"
    weights = problem.network.parameters.get("weights")
    size = problem.network.build().state_size if weights is None else max(getattr(weights, "shape", (1,)))
    if problem.depth > MOST_STEPS or problem.depth * problem.batch * size > _MOST_NUMBERS:
        return (
            f"truncation is run step by step, and {problem.depth} steps of this network are too many to keep"
        )
    return None


def _search(subject: Subject) -> tuple[Trial, int]:
    """Truncate where 95 % of the gradient of the recurrence is held, or where it explodes, if that comes first."""
    whole = runs.start(subject.problem)
    shares = whole.shares(np.array([0]))
    lags = subject.depth if shares is None or shares.cumulative_95 is None else shares.cumulative_95
    growth = subject.before.horizon.growth_steps
    kept = max(1, min(lags, subject.depth if growth is None else growth))
    cut = runs.start(replace(subject.problem, truncate=kept))
    factor = update_factor(log_update(whole.parameter_gradients()), log_update(cut.parameter_gradients()))
    return Trial({"truncate": kept}, effect_of_run(cut), factor), 2


truncation = Remedy(
    _not_applicable,
    _search,
    "nothing farther back than k steps is learnt at all, and the gradient is biased; memory and time of the backward "
    "pass fall with k, the horizon stays where it was",
)
