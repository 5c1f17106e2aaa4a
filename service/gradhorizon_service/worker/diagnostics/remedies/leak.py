"""A leaky unit h' = (1-a) h + a phi(W h + U x + b): the largest leak rate that carries the gradient all the way."""

from __future__ import annotations

from ...problem import Problem
from ._remedy import Remedy, Subject, Trial, effect_of, shifted
from ._search import mildest

_CELLS = ("linear", "rnn", "leaky", "echo_state")


def _not_applicable(problem: Problem) -> str | None:
    if problem.network.cell in _CELLS:
        return None
    return f"a leak is tried on {', '.join(_CELLS)} cells, and this one is {problem.network.cell}"


def _search(subject: Subject) -> tuple[Trial, int]:
    present = float(subject.parameters.get("leak_rate") or 1.0)
    return mildest(lambda rate: _trial(subject, rate), present, present / (100.0 * subject.depth))


def _trial(subject: Subject, rate: float) -> Trial:
    if subject.problem.network.cell == "linear":
        # A linear leaky step is a linear step: folded into W it keeps its powers at any depth.
        changed = subject.with_matrix(
            shifted(subject.matrix(), 1.0 - rate, rate), **subject.scaled_drive(rate)
        )
    else:
        cell = "leaky" if subject.problem.network.cell == "rnn" else None
        changed = subject.with_parameters(cell, leak_rate=rate)
    return Trial({"leak_rate": rate}, effect_of(changed))


leak = Remedy(
    _not_applicable,
    _search,
    "the forward memory slows down alike: the state follows its input with a time constant of about 1/leak_rate steps, "
    "so fast changes are averaged away",
    is_mildest=True,
)
