"""The claims that a change of the recurrence carries gradients farther back: each against the plain recurrence.

Over several draws of the weights, on the same inputs; the same hidden size on both sides. A horizon that the depth cuts
off counts as the depth, which makes the changed network look worse than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number

from ._claim import Answers, Claim, Question
from ._judgement import Criterion, Judgement, Point, at_least, fact, judge
from ._networks import Body

PLAIN = "plain recurrence"
MOST_DRAWS = 32


class AgainstPlain(ClaimParameters):
    """Shared by the four claims: how many draws, how deep, and by how much the horizon must move."""

    size: Annotated[int, Field(ge=1, le=128)] = 32
    depth: Annotated[int, Field(ge=10, le=2000)] = 300
    draws: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 5
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    input_std: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    factor: Annotated[float, Field(ge=1.0, le=1000.0)] = 2.0
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8


P = TypeVar("P", bound=AgainstPlain)
Build = Callable[[P, int], Body]
"""A network of the request from the parameters and the seed of a draw."""


def claim(
    claim_name: str, sentence: str, parameters: type[P], *, label: str, plain: Build[P], changed: Build[P]
) -> Claim[P]:
    """Make one of these claims."""

    def ask(asked: P) -> list[Question]:
        networks = {
            f"{side}, draw {draw}": build(asked, asked.seed + draw)
            for draw in range(asked.draws)
            for side, build in ((PLAIN, plain), (label, changed))
        }
        body = {
            "networks": networks,
            "depth": asked.depth,
            "inputs": {"kind": "gaussian", "std": asked.input_std, "batch": asked.batch, "seed": asked.seed},
            "max_points": 40,
            "seed": asked.seed,
        }
        return [Question("comparison", "/v1/comparisons", body)]

    def measure(asked: P, answers: Answers) -> Judgement:
        return _judged(asked, answers["comparison"], label)

    return Claim(claim_name, sentence, parameters, _criterion, ask, measure, draw)


def _criterion(asked: AgainstPlain) -> Criterion:
    return Criterion(
        f"In at least {asked.share:.0%} of the draws the horizon must be longer than that of the plain recurrence of "
        f"the same size, and in the median {asked.factor:g} times as long.",
        {"share_longer": asked.share, "median_factor": asked.factor},
    )


def _judged(asked: AgainstPlain, report: Any, label: str) -> Judgement:
    rows = {row.name: row for row in report.rows}
    steps = {
        side: np.array([_reach(rows[f"{side}, draw {draw}"], asked.depth) for draw in range(asked.draws)])
        for side in (PLAIN, label)
    }
    cut = sum(rows[f"{label}, draw {draw}"].censored for draw in range(asked.draws))
    factor = float(np.median(steps[label] / np.maximum(steps[PLAIN], 1)))
    numbers = [
        at_least(
            "share_longer",
            float(np.mean(steps[label] > steps[PLAIN])),
            asked.share,
            f"share of the draws in which the horizon with {label} is longer",
        ),
        at_least(
            "median_factor",
            factor,
            asked.factor,
            f"horizon with {label} over the plain one, median",
            essential=False,
        ),
        fact(
            "plain_horizon",
            float(np.median(steps[PLAIN])),
            "median horizon of the plain recurrence, in steps",
        ),
        fact("changed_horizon", float(np.median(steps[label])), f"median horizon with {label}, in steps"),
        fact("beyond_the_depth", float(cut), f"draws whose horizon with {label} lies beyond the depth"),
    ]
    partly = f"the horizon does move, but in the median {factor:.3g}-fold only"
    return judge(numbers, partly=partly, points=_points(report, label), assumptions=report.assumptions)


def _reach(row: Any, depth: int) -> int:
    return depth if row.censored else row.horizon_steps or 0


def _points(report: Any, label: str) -> list[Point]:
    points: list[Point] = []
    for row_name, diagnosis in report.diagnoses.items():
        norms = diagnosis.gradient_norms
        start = norms.log10_norm[0]
        side = label if row_name.startswith(f"{label},") else PLAIN
        points += [
            {"lag": int(lag), "change": float(value - start), "network": side, "draw": row_name}
            for lag, value in zip(norms.lag, norms.log10_norm, strict=True)
            if np.isfinite(value - start)
        ]
    return points


def draw(points: Sequence[Point]) -> Spec:
    """The gradient by lag of every draw, plain and changed."""
    changed = sorted({str(point["network"]) for point in points} - {PLAIN})
    lines = layer(
        {"type": "line", "strokeWidth": 1.5, "opacity": 0.8},
        points,
        x=number("lag", "lag (steps back from the loss)"),
        y=number("change", "gradient norm relative to lag 0 (decades)"),
        color=name("network", None, order=[PLAIN, *changed]),
        detail={"field": "draw", "type": "nominal"},
    )
    title = f"How gradients travel back through {' and '.join(changed)}"
    return chart([lines], title=title, subtitle="one line a draw of the weights")
