"""A diagnosis: one network run forward and backward, and everything that was asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from . import runs
from .diagnostics import DIAGNOSTICS
from .errors import CannotRun
from .horizon import Horizon
from .outcome import Outcome
from .problem import Problem
from .verdict import Verdict, judge


@dataclass(frozen=True, eq=False)
class DiagnosisResult:
    """Everything a diagnosis reports; `diagnostics` by name, in the order of the table."""

    verdict: Verdict
    horizon: Horizon
    outcome: Outcome
    diagnostics: Mapping[str, object]
    warnings: list[str]
    algorithms: dict[str, str]


def diagnose(problem: Problem) -> DiagnosisResult:
    """Run a diagnosis. Raises CannotRun where the request asks for something that does not exist."""
    with arithmetic_told():
        return report_of(runs.start(problem))


@contextmanager
def arithmetic_told() -> Iterator[None]:
    """Turn what float64 cannot carry into CannotRun."""
    try:
        yield
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise CannotRun(
            "network",
            "its numbers span more orders of magnitude than float64 arithmetic can carry through this computation "
            f"({type(error).__name__}); rescale the weights, or ask for fewer diagnostics",
        ) from error


def report_of(run: runs.Run) -> DiagnosisResult:
    """Everything that was asked about a run."""
    problem = run.problem
    _ = run.transport_peak  # the verdict needs it, and a Jacobian that leaves float64 shows there first
    horizon = runs.horizon_of(run)
    reports = {name: row.compute(run) for name, row in DIAGNOSTICS.items() if name in problem.diagnostics}
    verdict = judge(run, horizon, exact="singular_values" in problem.diagnostics)
    warnings = list(dict.fromkeys(run.warnings))  # two diagnostics may have met the same thing
    return DiagnosisResult(verdict, horizon, run.outcome, reports, warnings, run.algorithms)
