"""A residual step h' = h + s phi(W h + U x + b): the largest scale that carries the gradient all the way."""

from __future__ import annotations

import math

from ...problem import Problem
from ._remedy import Remedy, Subject, Trial, effect_of, shifted
from ._search import mildest

_CELLS = ("linear", "rnn", "residual", "feedforward")


def _not_applicable(problem: Problem) -> str | None:
    cell = problem.network.cell
    if cell not in _CELLS:
        return f"a residual step is tried on {', '.join(_CELLS)} cells, and this one is {cell}"
    if cell == "feedforward" and problem.network.parameters.get("residual"):
        return "the layers have residual connections already"
    return None


def _search(subject: Subject) -> tuple[Trial, int]:
    if subject.problem.network.cell == "feedforward":
        return Trial({"residual": 1}, effect_of(subject.with_layers(subject.layers, residual=True))), 1
    present = float(subject.parameters.get("scale") or 1.0)
    sign, size = math.copysign(1.0, present), abs(present)
    return mildest(lambda scale: _trial(subject, sign * scale), size, size / (100.0 * subject.depth))


def _trial(subject: Subject, scale: float) -> Trial:
    if subject.problem.network.cell == "linear":
        changed = subject.with_matrix(shifted(subject.matrix(), 1.0, scale), **subject.scaled_drive(scale))
    else:
        changed = subject.with_parameters("residual", scale=scale)
    return Trial({"scale": scale}, effect_of(changed))


residual = Remedy(
    _not_applicable,
    _search,
    "nothing is ever forgotten: the state sums up what every step adds, and grows with the depth; a small scale also "
    "makes each step's own contribution, and the gradient of its weights, small",
    is_mildest=True,
)
