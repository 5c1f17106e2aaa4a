"""What several claims ask of a descent, and read from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gradhorizon_service.worker.trained import TrainedNetwork

from ._claim import Question
from ._networks import Body

DESCENTS, DIAGNOSES = "/v1/descents", "/v1/diagnoses"
FREE, CLIPPED = "without clipping", "with clipping"
UNDONE = 0.9
"""The share of the progress from which on a single step is said to have undone it."""


def policies(threshold: float) -> dict[str, Body]:
    """Return the same descent twice: left alone, and with the norm of the gradient clipped."""
    return {FREE: {"kind": "none"}, CLIPPED: {"kind": "norm", "threshold": threshold}}


def seeds(first: int, count: int) -> list[int]:
    """Return seeds in a row, so that the same draws can be asked for one by one."""
    return [first + place for place in range(count)]


def by_name(report: Any) -> dict[str, Any]:
    """Return what a descent came to, by policy."""
    return {policy.name: policy for policy in report.policies}


def runs(report: Any, policy: str) -> list[Any]:
    """Return the runs of one policy."""
    return [run for run in report.runs if run.policy == policy]


def overshoots(run: Any) -> bool:
    """Whether a single step undid the progress made, led above the start, or out of the finite numbers."""
    back = run.step_back
    if run.first_non_finite_loss is not None or run.first_non_finite_parameters is not None:
        return True
    return back is not None and (back.progress_lost is None or back.progress_lost >= UNDONE)


def after_training(
    name: str, descent: str, policy: str | None, seed: int, place: int, body: Body
) -> Question:
    """Ask for a diagnosis of the network that one run of the descent ends with, or, without a policy, starts from.

    `body` holds a network of the same kind and size; `place` is that of the run in the descent's list of parameters.
    """
    of = "initial_parameters" if policy is None else "parameters"
    where = f"the answer to '{descent}': $.{of}[{place}].network"
    completion = partial(TrainedNetwork, descent=descent, seed=seed, policy=policy)
    return Question(name, DIAGNOSES, body, {"$.network": where}, completion)


def share(flags: Sequence[bool]) -> float | None:
    """Return the share that is true; None of nothing."""
    return sum(flags) / len(flags) if flags else None


def ratio(above: float | None, below: float | None) -> float | None:
    """Return a quotient; None where there is none."""
    return above / below if above is not None and below else None
