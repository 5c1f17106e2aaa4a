"""Runs: the same questions answered by stepping, by powers of a matrix, or in closed form."""

from __future__ import annotations

from ..cells import RnnCell
from ..cells.linear import DiagonalLinearCell
from ..problem import Problem
from ._run import Run, Shares
from .diagonal import DiagonalRun, SteppedDiagonalRun
from .powers import PowersRun
from .stepped import SteppedRun


def start(problem: Problem) -> Run:
    """Build the network and pick the cheapest run that answers exactly."""
    cell = problem.network.build()
    by_powers = _by_powers(problem)
    if isinstance(cell, DiagonalLinearCell):
        undriven = by_powers and not cell.driven.biases
        return DiagonalRun(problem, cell) if undriven else SteppedDiagonalRun(problem, cell)
    if by_powers and isinstance(cell, RnnCell) and not cell.driven.biases:
        return PowersRun(problem, cell)
    return SteppedRun(problem, cell)


def _by_powers(problem: Problem) -> bool:
    """Whether the recurrence is linear and undriven, with one gradient at its end that ignores the state."""
    plain_loss = not problem.loss.needs_states and not problem.every_step and problem.truncate is None
    cut = problem.clipping is not None and problem.clipping.kind == "per_step"
    return problem.network.cell == "linear" and problem.inputs is None and plain_loss and not cut


__all__ = ["PowersRun", "Run", "Shares", "start"]
