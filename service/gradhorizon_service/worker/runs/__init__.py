"""Runs: the same questions answered by stepping, by powers of a matrix, or in closed form."""

from __future__ import annotations

from ..cells import RnnCell
from ..cells.linear import DiagonalLinearCell
from ..problem import Problem
from ..products.shallow_powers import is_shallow
from ._horizon import horizon_of
from ._run import Run, Shares
from .diagonal import DiagonalRun, SteppedDiagonalRun
from .powers import PowersRun
from .stepped import SteppedRun

_MOST_STEPS = 20_000
_MOST_WORK = 10**9


def start(problem: Problem) -> Run:
    """Build the network and pick the cheapest run that answers exactly."""
    cell = problem.network.build()
    by_powers = _by_powers(problem)
    if isinstance(cell, DiagonalLinearCell):
        undriven = by_powers and not cell.driven.biases
        return DiagonalRun(problem, cell) if undriven else SteppedDiagonalRun(problem, cell)
    if by_powers and isinstance(cell, RnnCell) and not cell.driven.biases:
        shallow_or_deep = not is_better_stepped(len(cell.weights), problem.depth, problem.batch)
        return PowersRun(problem, cell) if shallow_or_deep else SteppedRun(problem, cell)
    return SteppedRun(problem, cell)


def is_better_stepped(size: int, depth: int, batch: int) -> bool:
    """Whether an undriven linear recurrence is stepped all the same: few enough steps, too many powers to keep.

    Steps are exact to rounding whatever the matrix; powers by squaring lose digits where it is far from normal.
    """
    if is_shallow(size, depth):
        return False
    return depth <= _MOST_STEPS and depth * size * max(size, 8 * batch) <= _MOST_WORK


def _by_powers(problem: Problem) -> bool:
    """Whether the recurrence is linear and undriven, with one gradient at its end that ignores the state."""
    plain_loss = not problem.loss.needs_states and not problem.every_step and problem.truncate is None
    cut = problem.clipping is not None and problem.clipping.kind == "per_step"
    return problem.network.cell == "linear" and problem.inputs is None and plain_loss and not cut


__all__ = ["PowersRun", "Run", "Shares", "horizon_of", "is_better_stepped", "start"]
