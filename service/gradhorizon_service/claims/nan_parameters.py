"""A gradient too large throws the parameters off, possibly to NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number

from ._claim import Answers, Claim, Question
from ._descents import CLIPPED, DESCENTS, FREE, by_name, policies, runs, seeds, share
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge

Eigenvalue = Annotated[float, Field(ge=-2.0, le=2.0)]


class Parameters(ClaimParameters):
    """A linear recurrence with one exploding eigenvalue, from random states towards random targets."""

    eigenvalues: Annotated[list[Eigenvalue], Field(min_length=1, max_length=32)] = Field(
        default_factory=lambda: [1.15, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    )
    length: Annotated[int, Field(ge=1, le=200)] = 20
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.03
    threshold: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    steps: Annotated[int, Field(ge=2, le=2000)] = 200
    runs: Annotated[int, Field(ge=1, le=64)] = 20
    dtype: Literal["float32", "float64"] = "float32"
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5


def criterion(parameters: Parameters) -> Criterion:
    """Many runs without clipping end in NaN, none with it."""
    return Criterion(
        f"In {parameters.dtype} the parameters of at least {parameters.share:.0%} of the descents must become infinite "
        f"or NaN without clipping within {parameters.steps} steps, and of none with clipping.",
        {"share_not_finite": parameters.share, "share_not_finite_clipped": 0.0},
    )


def ask(parameters: Parameters) -> list[Question]:
    """One descent, with both policies."""
    weights = {"source": "spectrum", "eigenvalues": parameters.eigenvalues, "seed": parameters.seed}
    body = {
        "task": {"kind": "recurrence", "length": parameters.length, "weights": weights},
        "optimizer": {"kind": "sgd", "learning_rate": parameters.learning_rate},
        "policies": policies(parameters.threshold),
        "steps": parameters.steps,
        "seeds": seeds(parameters.seed, parameters.runs),
        "dtype": parameters.dtype,
        "curvature_points": 0,
    }
    return [Question("descent", DESCENTS, body)]


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Count runs whose parameters left the finite numbers."""
    report = answers["descent"]
    lost = {
        policy: [run.first_non_finite_parameters for run in runs(report, policy)]
        for policy in (FREE, CLIPPED)
    }
    steps = [step for step in lost[FREE] if step is not None]
    found = by_name(report)
    numbers = [
        at_least(
            "share_not_finite",
            share([step is not None for step in lost[FREE]]),
            parameters.share,
            f"share of the descents {FREE} whose parameters become infinite or NaN",
        ),
        at_most(
            "share_not_finite_clipped",
            share([step is not None for step in lost[CLIPPED]]),
            0.0,
            f"the same {CLIPPED}",
            essential=False,
        ),
        fact(
            "median_first_step",
            float(np.median(steps)) if steps else None,
            "median step at which the parameters are lost",
            why="no parameters were lost",
        ),
        fact("clipped_final_loss", _last(found[CLIPPED].course.loss), f"last median loss {CLIPPED}"),
    ]
    return judge(
        numbers, partly="clipping at this threshold keeps some, not all, from it", points=_points(found)
    )


def _last(series: Any) -> float | None:
    return float(series[-1]) if len(series) else None


def _points(found: dict[str, Any]) -> list[Point]:
    return [
        {"step": int(step), "finite": int(count), "policy": policy}
        for policy in (FREE, CLIPPED)
        for step, count in _whole(found, policy)
    ]


def _whole(found: dict[str, Any], policy: str) -> list[tuple[int, int]]:
    """Runs that are finite, by step; a course ends with its last finite run, and then there are none."""
    course = found[policy].course
    counted = [(int(s), int(n)) for s, n in zip(course.step, course.finite_runs, strict=True)]
    last = max(int(other.course.step[-1]) for other in found.values() if len(other.course.step))
    ended = counted[-1][0] if counted else -1
    return counted if ended >= last else [*counted, (ended + 1, 0), (last, 0)]


def draw(points: Sequence[Point]) -> Spec:
    """How many descents are still finite."""
    lines = layer(
        {"type": "line", "interpolate": "step-after"},
        points,
        x=number("step", "step of the descent", scale="symlog"),
        y=number("finite", "descents with finite parameters and loss", zero=True),
        color=name("policy", None, order=[FREE, CLIPPED]),
    )
    return chart([lines], title="From large gradients to NaN")


CLAIM = Claim(
    "nan-parameters",
    "A gradient that is too large throws the parameters far off, possibly so far that they are no longer numbers.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
