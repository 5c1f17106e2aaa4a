"""Runs: the same questions answered by stepping, by powers of a matrix, or in closed form."""

from __future__ import annotations

from ..cells import Cell, LinearStep
from ..cells.decays import DecaysCell
from ..cells.linear import DiagonalLinearCell
from ..problem import Problem
from ..products.shallow_powers import is_shallow
from ._horizon import horizon_of
from ._run import Run, Shares
from .decays import DecaysRun, DecaysTransport, SteppedDecaysRun
from .diagonal import DiagonalRun, DiagonalTransport, SteppedDiagonalRun
from .powers import PowersRun
from .stepped import SteppedRun

BIASES = ("bias", "input_bias", "recurrent_bias")
_MOST_STEPS = 20_000
_MOST_WORK = 10**9


def start(problem: Problem) -> Run:
    """Build the network and pick the cheapest run that answers exactly."""
    cell = problem.network.build()
    if not is_undriven_linear(problem):
        return step_by_step(problem, cell)
    if isinstance(cell, DiagonalLinearCell):
        return DiagonalRun(problem, cell)
    if isinstance(cell, DecaysCell):
        return DecaysRun(problem, cell.after(problem.burn_in))
    assert isinstance(cell, LinearStep), "what a linear recurrence with a matrix has"
    shallow_or_deep = not is_better_stepped(cell.state_size, problem.depth, problem.batch)
    return PowersRun(problem, cell) if shallow_or_deep else SteppedRun(problem, cell)


def step_by_step(problem: Problem, cell: Cell) -> SteppedRun:
    """The run that goes through every state, with the closed forms a diagonal cell has for its transport."""
    if isinstance(cell, DiagonalLinearCell):
        return SteppedDiagonalRun(problem, cell)
    if isinstance(cell, DecaysCell):
        return SteppedDecaysRun(problem, cell.after(problem.burn_in))
    return SteppedRun(problem, cell)


def is_better_stepped(size: int, depth: int, batch: int) -> bool:
    """Whether an undriven linear recurrence is stepped all the same: few enough steps, too many powers to keep.

    Steps are exact to rounding whatever the matrix; powers by squaring lose digits where it is far from normal.
    """
    if is_shallow(size, depth):
        return False
    return depth <= _MOST_STEPS and depth * size * max(size, 8 * batch) <= _MOST_WORK


def is_undriven_linear(problem: Problem) -> bool:
    """Whether the recurrence is linear and nothing drives it, with one gradient at its end that ignores the state."""
    plain_loss = not problem.loss.needs_states and not problem.every_step and problem.truncate is None
    cut = problem.clipping is not None and problem.clipping.kind == "per_step"
    driven = problem.inputs is not None or any(
        problem.network.parameters.get(name) is not None for name in BIASES
    )
    return problem.network.is_linear and plain_loss and not cut and not driven


__all__ = [
    "DecaysTransport",
    "DiagonalTransport",
    "PowersRun",
    "Run",
    "Shares",
    "horizon_of",
    "is_better_stepped",
    "is_undriven_linear",
    "start",
    "step_by_step",
]
