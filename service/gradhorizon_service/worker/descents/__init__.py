"""Gradient descent on small tasks: many runs as one computation, and where a step undoes the progress made."""

from .descent import Record, descend
from .problem import DescentProblem
from .summary import DescentResult, run_descent

__all__ = ["DescentProblem", "DescentResult", "Record", "descend", "run_descent"]
