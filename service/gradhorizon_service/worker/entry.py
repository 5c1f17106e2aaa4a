"""What a worker process can be asked for: pure functions of plain data, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import runs
from ._types import Array
from .clippings import clippings
from .descents import run_descent
from .diagnostics import DIAGNOSTICS
from .diagnostics.nonnormality import Nonnormality, matrix_nonnormality
from .diagnostics.spectrum import Spectrum, matrix_spectrum
from .errors import CannotRun
from .horizon import Horizon
from .mean_field.entry import analyse_mean_field
from .outcome import Outcome
from .problem import ComparisonProblem, Problem, SpectrumProblem
from .products.power_peaks import peak_norm
from .sequence import SequenceProblem, run_sequence
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


@dataclass(frozen=True, eq=False)
class SpectrumResult:
    """One matrix analysed."""

    shape: tuple[int, int]
    spectrum: Spectrum
    nonnormality: Nonnormality
    matrix: Array | None
    warnings: list[str]
    algorithms: dict[str, str]


def diagnose(problem: Problem) -> DiagnosisResult:
    """Run a diagnosis. Raises CannotRun where the request asks for something that does not exist."""
    try:
        return _diagnose(problem)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise CannotRun(
            "network",
            "its numbers span more orders of magnitude than float64 arithmetic can carry through this computation "
            f"({type(error).__name__}); rescale the weights, or ask for fewer diagnostics",
        ) from error


def _diagnose(problem: Problem) -> DiagnosisResult:
    run = runs.start(problem)
    _ = run.transport_peak  # the verdict needs it, and a Jacobian that leaves float64 shows there first
    horizon = runs.horizon_of(run)
    reports = {name: row.compute(run) for name, row in DIAGNOSTICS.items() if name in problem.diagnostics}
    verdict = judge(run, horizon, exact="singular_values" in problem.diagnostics)
    warnings = list(dict.fromkeys(run.warnings))  # two diagnostics may have met the same thing
    return DiagnosisResult(verdict, horizon, run.outcome, reports, warnings, run.algorithms)


def compare(comparison: ComparisonProblem) -> dict[str, DiagnosisResult]:
    """Run every row. Raises CannotRun with the path of the network it belongs to."""
    return {name: _row(field, problem) for name, (field, problem) in comparison.rows.items()}


def _row(field: str, problem: Problem) -> DiagnosisResult:
    try:
        return diagnose(problem)
    except CannotRun as error:
        if error.field.partition(".")[0] != "network":
            raise
        raise CannotRun(field + error.field.removeprefix("network"), error.message, error.code) from None


def analyse_spectrum(problem: SpectrumProblem) -> SpectrumResult:
    """Build one matrix and analyse it. Raises CannotRun where it is not square or cannot be built."""
    try:
        matrix = problem.source.build()
    except CannotRun as error:
        raise error.under("source") from None
    algorithms: dict[str, str] = {}
    return SpectrumResult(
        (int(matrix.shape[0]), int(matrix.shape[1])),
        matrix_spectrum(matrix, None),
        matrix_nonnormality(matrix, problem.depth, peak_norm(matrix, problem.depth)),
        matrix if problem.include_matrix else None,
        [],
        algorithms,
    )


def follow(sequence: SequenceProblem) -> dict[str, Any]:
    """Run several computations one after the other."""
    return run_sequence(sequence, FUNCTIONS)


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "diagnose": diagnose,
    "compare": compare,
    "clippings": clippings,
    "descend": run_descent,
    "spectrum": analyse_spectrum,
    "mean_field": analyse_mean_field,
    "sequence": follow,
}
"""Name of a computation -> the function a worker process runs for it."""

__all__ = ["FUNCTIONS", "DiagnosisResult", "SpectrumResult", "analyse_spectrum", "compare", "diagnose"]
