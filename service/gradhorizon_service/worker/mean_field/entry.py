"""What a worker process is asked for about theory: a problem in, a result out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._types import Array
from ..activations import Activation
from .critical import CriticalVariance, critical_bias_variances, critical_weight_variances
from .gaussian_products import gaussian_product_exponents
from .theory import MeanField, mean_field

Variable = Literal["weight_variance", "bias_variance"]


@dataclass(frozen=True, eq=False)
class MeanFieldProblem:
    """An activation and two variances; `line` asks for the critical line over one of them, at its values.

    `size` and `leading` ask for exponents of products of Gaussian matrices.
    """

    activation: Activation
    weight_variance: float
    bias_variance: float
    over: Variable | None
    line: Array
    size: int | None
    leading: int


@dataclass(frozen=True, eq=False)
class CriticalLine:
    """Pairs of variances with chi_1 = 1; NaN where the one that was looked for does not exist."""

    over: Variable
    weight_variance: Array
    weight_variance_reason: str | None
    bias_variance: Array
    bias_variance_reason: str | None


@dataclass(frozen=True, eq=False)
class MeanFieldResult:
    """The theory, what is critical beside it, and exponents where they were asked for."""

    theory: MeanField
    critical: CriticalVariance
    critical_line: CriticalLine | None
    gaussian_product_exponents: Array | None
    warnings: list[str]


def analyse_mean_field(problem: MeanFieldProblem) -> MeanFieldResult:
    """Solve the theory of one activation at one pair of variances."""
    (critical,) = critical_weight_variances(problem.activation, [problem.bias_variance])
    exponents = None
    if problem.size is not None:
        exponents = gaussian_product_exponents(problem.size, problem.weight_variance, problem.leading)
    return MeanFieldResult(
        mean_field(problem.activation, problem.weight_variance, problem.bias_variance),
        critical,
        None if problem.over is None else _line(problem, problem.over),
        exponents,
        _warnings(critical),
    )


def _line(problem: MeanFieldProblem, over: Variable) -> CriticalLine:
    solve = critical_weight_variances if over == "bias_variance" else critical_bias_variances
    found = solve(problem.activation, problem.line.tolist())
    solved = np.array([np.nan if point.value is None else point.value for point in found])
    reason = next((point.reason for point in found if point.reason is not None), None)
    if over == "bias_variance":
        return CriticalLine(over, solved, reason, problem.line, None)
    return CriticalLine(over, problem.line, None, solved, reason)


def _warnings(critical: CriticalVariance) -> list[str]:
    if not critical.others:
        return []
    others = ", ".join(f"{variance:.6g}" for variance in critical.others)
    return [
        f"chi_1 is 1 at more than one weight variance: critical_weight_variance is the smallest, beside {others}"
    ]
