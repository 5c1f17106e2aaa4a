"""Without weight sharing the problem is easy to avoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number, rule

from ._claim import Answers, Claim, Question
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge
from ._networks import Body, square

SHARED, UNSHARED = "shared", "unshared"


class Parameters(ClaimParameters):
    """Gaussian matrices of variance v / size, v the `depth`-th root of `total_variance` (Goodfellow et al. 2016, 10.7).

    The same variance serves one shared matrix and an independent draw for every layer. `tolerance_decades` is how much
    a gradient may change over the whole depth.
    """

    size: Annotated[int, Field(ge=1, le=256)] = 64
    depth: Annotated[int, Field(ge=1, le=1000)] = 100
    draws: Annotated[int, Field(ge=5, le=60)] = 20
    total_variance: Annotated[float, Field(gt=1e-30, lt=1e30)] = 1.0
    tolerance_decades: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    unshared_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    shared_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5


def criterion(parameters: Parameters) -> Criterion:
    """Independent draws must keep the gradient, and one shared matrix must not."""
    return Criterion(
        f"Over {parameters.depth} steps the gradient must stay within {parameters.tolerance_decades:g} decades for at "
        f"least {parameters.unshared_share:.0%} of the draws with independent layers, and for at most "
        f"{parameters.shared_share:.0%} of those with one shared matrix of the same variance.",
        {"unshared_share_kept": parameters.unshared_share, "shared_share_kept": parameters.shared_share},
    )


def ask(parameters: Parameters) -> list[Question]:
    """Two comparisons, each over the same seeds."""
    gain = parameters.total_variance ** (0.5 / parameters.depth)

    def weights(draw: int) -> Body:
        return square("gaussian", parameters.size, parameters.seed + draw, gain)

    networks: dict[str, dict[str, Body]] = {
        SHARED: {f"draw {k}": {"cell": "linear", "weights": weights(k)} for k in range(parameters.draws)},
        UNSHARED: {
            f"draw {k}": {"cell": "feedforward", "layers": weights(k)} for k in range(parameters.draws)
        },
    }
    return [
        Question(
            label,
            "/v1/comparisons",
            {
                "networks": found,
                "depth": parameters.depth,
                "initial_state": {"kind": "gaussian", "batch": 1, "seed": parameters.seed},
                "lags": [0, parameters.depth],
                "seed": parameters.seed,
            },
        )
        for label, found in networks.items()
    ]


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Growth of one gradient over the whole depth, draw by draw."""
    growth = {label: _growth(answers[label].diagnoses) for label in (SHARED, UNSHARED)}
    kept = {
        label: float(np.mean(np.abs(found) <= parameters.tolerance_decades))
        for label, found in growth.items()
    }
    numbers = [
        at_least(
            "unshared_share_kept",
            kept[UNSHARED],
            parameters.unshared_share,
            "share of the draws with independent layers that keep the gradient",
        ),
        at_most(
            "shared_share_kept",
            kept[SHARED],
            parameters.shared_share,
            "share of the draws with one shared matrix that keep it",
            essential=False,
        ),
        *(
            fact(
                f"{label}_median_growth",
                float(np.median(growth[label])),
                f"median growth over the depth with {label} weights, in decades",
                why="the median gradient is exactly zero",
            )
            for label in (UNSHARED, SHARED)
        ),
    ]
    points: list[Point] = [
        {"weights": label, "growth": float(value), "place": place / max(len(found) - 1, 1)}
        for label, found in growth.items()
        for place, value in enumerate(np.sort(found))
        if np.isfinite(value)
    ]
    return judge(
        numbers,
        partly="it is easy without sharing, but not hard with it at this depth and size either",
        points=points,
    )


def _growth(diagnoses: dict[str, object]) -> np.ndarray:
    norms = [getattr(found, "gradient_norms").log10_norm for found in diagnoses.values()]  # noqa: B009
    return np.array([norm[-1] - norm[0] for norm in norms])


def draw(points: Sequence[Point]) -> Spec:
    """Growth over the depth of every draw, smallest first."""
    layers = [
        *rule(y=0.0),
        layer(
            {"type": "line", "point": True, "strokeWidth": 1},
            points,
            x=number("place", "draws, by growth", axis={"format": "%"}),
            y=number("growth", "change of the gradient over the depth (decades)", zero=True),
            color=name("weights", None, order=[UNSHARED, SHARED]),
        ),
    ]
    return chart(
        layers, title="The same variance, shared and not", subtitle="0: the gradient arrives as it left"
    )


CLAIM = Claim(
    "unshared-is-easy",
    "Without weight sharing, as in a deep feed-forward network, the problem is easy to avoid: choose the variance of "
    "the weights.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
