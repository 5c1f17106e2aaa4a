"""What a row of the table of diagnostics holds, and the reasons for which several do not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..problem import Problem
from ..runs import Run


def always(problem: Problem) -> None:
    """Apply to every problem."""


@dataclass(frozen=True)
class Diagnostic:
    """A function of a run, and why it means nothing for a problem: a reason, or None where it applies."""

    compute: Callable[[Run], object]
    not_applicable: Callable[[Problem], str | None] = always


def without_matrix(problem: Problem) -> str | None:
    """Why a diagnostic of the recurrent matrix does not apply."""
    if problem.network.has_matrix:
        return None
    if problem.network.kind.has_matrix:
        return "the decays change at every step, so that there is no one recurrent matrix"
    if problem.network.kind.is_gated:
        return f"the {problem.network.cell} cell has a recurrent matrix for each gate, and not one for all"
    return f"a {problem.network.cell} network has no square recurrent matrix"


def without_states(problem: Problem) -> str | None:
    """Why a diagnostic of states or parameters does not apply."""
    return None if problem.network.kind.has_states else "step Jacobians come without states or parameters"


def untrained(problem: Problem) -> str | None:
    """Why no parameter of a network with states receives a gradient."""
    if problem.network.kind.is_trained or getattr(problem.loss, "readout_weight", None) is not None:
        return None
    return f"only a linear readout of an {problem.network.cell} network is trained; give the loss a readout_weight"


def without_gradients(problem: Problem) -> str | None:
    """Why a diagnostic of parameter gradients does not apply."""
    return without_states(problem) or untrained(problem)


def without_shared_steps(problem: Problem) -> str | None:
    """Why a diagnostic of rates per step does not apply."""
    if problem.network.kind.is_recurrent:
        return None
    return "unshared layers have no exponents per step: the singular values say it all"
