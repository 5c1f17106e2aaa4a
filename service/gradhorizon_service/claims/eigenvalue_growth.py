"""Eigenvalues below one decay, above one blow up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import FAINT, Spec, chart, layer, name, number

from ._claim import Answers, Claim, Question
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge
from ._networks import symmetric_or_not


def _not_zero(value: float) -> float:
    if value == 0.0:
        raise ValueError("must not be 0, which kills its direction in one step and has no rate")
    return value


Eigenvalue = Annotated[float, Field(ge=-4.0, le=4.0), AfterValidator(_not_zero)]
Depth = Annotated[int, Field(ge=1, le=100_000)]
_NEUTRAL = 1e-12


class Parameters(ClaimParameters):
    """`condition` 1 makes W symmetric; above it, W keeps its eigenvalues and its eigenvectors lose their right angles.

    `tolerance` is in decades per step.
    """

    eigenvalues: Annotated[list[Eigenvalue], Field(min_length=2, max_length=64)] = Field(
        default_factory=lambda: [1.2, 1.1, 1.05, 1.0, 0.95, 0.9, 0.8, 0.5]
    )
    condition: Annotated[float, Field(ge=1.0, le=1e8)] = 1.0
    depths: Annotated[list[Depth], Field(min_length=1, max_length=16)] = Field(
        default_factory=lambda: [1, 10, 50, 200]
    )
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-6


def criterion(parameters: Parameters) -> Criterion:
    """Signs at the largest depth are essential, rates at every depth are not."""
    return Criterion(
        "At the largest depth every direction of the transport must shrink or grow as its eigenvalue says, and at "
        "every depth it must do so at the rate log10 |lambda| a step.",
        {"directions_as_their_eigenvalue": 1.0, "largest_rate_error": parameters.tolerance},
    )


def ask(parameters: Parameters) -> list[Question]:
    """One linear recurrence at several depths; the singular values of its transport are the modes, measured."""
    weights = symmetric_or_not(parameters.eigenvalues, parameters.condition, parameters.seed)
    return [
        Question(
            f"depth {depth}",
            "/v1/diagnoses",
            {
                "network": {"cell": "linear", "weights": weights},
                "depth": depth,
                "diagnostics": ["singular_values", "nonnormality"],
                "max_points": 2,
                "seed": parameters.seed,
            },
        )
        for depth in sorted(set(parameters.depths))
    ]


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Compare decades per step of every direction with log10 of its eigenvalue."""
    told = np.sort(np.log10(np.abs(parameters.eigenvalues)))[::-1]
    rates = {
        depth: answers[f"depth {depth}"].singular_values.log10 / depth
        for depth in sorted(set(parameters.depths))
    }
    last = max(rates)
    decided = np.abs(told) > _NEUTRAL
    right = np.sign(rates[last][decided]) == np.sign(told[decided])
    errors = {depth: float(np.abs(rate - told).max()) for depth, rate in rates.items()}
    peak = answers[f"depth {last}"].nonnormality.log10_peak
    numbers = [
        at_least(
            "directions_as_their_eigenvalue",
            float(right.mean()) if decided.any() else None,
            1.0,
            f"share of the directions that shrink or grow over {last} steps as their eigenvalue says",
            why="every eigenvalue is 1, and the sentence says nothing about that",
        ),
        at_most(
            "largest_rate_error",
            max(errors.values()),
            parameters.tolerance,
            "largest difference between decades per step and log10 of the eigenvalue, over modes and depths",
            essential=False,
        ),
        fact("rate_error_at_the_largest_depth", errors[last], f"the same, at depth {last} alone"),
        fact("log10_peak", peak, "decades by which some direction grows on the way, at most"),
    ]
    points: list[Point] = [
        {"log10_eigenvalue": float(x), "decades_per_step": float(y), "depth": depth}
        for depth, rate in rates.items()
        for x, y in zip(told, rate, strict=True)
        if np.isfinite(y)
    ]
    return judge(
        numbers,
        partly="in the long run only: on the way the norm follows the eigenvectors, which are not orthogonal here, "
        "and not the eigenvalues",
        points=points,
    )


def draw(points: Sequence[Point]) -> Spec:
    """Measured against told growth; on the diagonal they agree."""
    told = [float(point["log10_eigenvalue"] or 0.0) for point in points]
    ends = [{"x": edge, "y": edge} for edge in (min(told, default=-1.0), max(told, default=1.0))]
    x = number("log10_eigenvalue", "log10 |eigenvalue| (decades per step)")
    y = number("decades_per_step", "measured growth (decades per step)")
    diagonal = {"type": "line", "color": FAINT, "strokeDash": [4, 4], "strokeWidth": 1}
    depths = [str(depth) for depth in sorted({int(point["depth"] or 0) for point in points})]
    named = [{**point, "depth": str(point["depth"])} for point in points]
    rings = {"type": "point", "filled": False, "strokeWidth": 2}
    size = name("depth", None, order=depths, legend=None) | {
        "scale": {"range": [30 * (k + 1) for k in range(len(depths))]}
    }
    layers = [
        layer(diagonal, ends, x=number("x", x["title"]), y=number("y", y["title"])),
        layer(rings, named, x=x, y=y, size=size, color=name("depth", "depth", order=depths)),
    ]
    return chart(layers, title="Growth of every direction", subtitle="dashed: as its eigenvalue says")


CLAIM = Claim(
    "eigenvalue-growth",
    "Under a repeated multiplication by one matrix, directions with eigenvalues below one in modulus die out "
    "exponentially, and those above one blow up exponentially.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
