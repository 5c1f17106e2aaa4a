"""What a worker process can be asked for: pure functions of plain data, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._types import Array
from .clippings import clippings
from .descents import run_descent
from .diagnosis import DiagnosisResult, diagnose
from .diagnostics.nonnormality import Nonnormality, matrix_nonnormality
from .diagnostics.spectrum import Spectrum, matrix_spectrum
from .errors import CannotRun
from .layers import compare_layers, diagnose_layers
from .mean_field.entry import analyse_mean_field
from .problem import ComparisonProblem, Problem, SpectrumProblem
from .products.power_peaks import peak_norm
from .sequence import SequenceProblem, run_sequence


@dataclass(frozen=True, eq=False)
class SpectrumResult:
    """One matrix analysed."""

    shape: tuple[int, int]
    spectrum: Spectrum
    nonnormality: Nonnormality
    matrix: Array | None
    warnings: list[str]
    algorithms: dict[str, str]


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
    "diagnose_layers": diagnose_layers,
    "compare_layers": compare_layers,
    "clippings": clippings,
    "descend": run_descent,
    "spectrum": analyse_spectrum,
    "mean_field": analyse_mean_field,
    "sequence": follow,
}
"""Name of a computation -> the function a worker process runs for it."""

__all__ = ["FUNCTIONS", "DiagnosisResult", "SpectrumResult", "analyse_spectrum", "compare", "diagnose"]
