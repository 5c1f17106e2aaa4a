"""Gradients are small at a minimum too, but not in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number

from ._claim import Answers, Claim, Question
from ._descents import DESCENTS, DIAGNOSES, after_training
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge
from ._networks import Body

Eigenvalue = Annotated[float, Field(ge=-2.0, le=2.0)]
TRAINING, BEFORE, AFTER, VANISHING = "training", "before training", "at the minimum", "vanishing"
_ONLY = "none"


class Parameters(ClaimParameters):
    """A linear recurrence is trained to reach a target; `shrink` times its weights is a network that vanishes.

    `least_fall` is how many decades the gradient must fall for the end of the training to count as a minimum;
    `tolerance` is how far the ratio between lags may move in the meantime, in decades.
    """

    eigenvalues: Annotated[list[Eigenvalue], Field(min_length=1, max_length=32)] = Field(
        default_factory=lambda: [1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7]
    )
    length: Annotated[int, Field(ge=1, le=200)] = 15
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.01
    steps: Annotated[int, Field(ge=2, le=5000)] = 1500
    shrink: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    least_fall: Annotated[float, Field(gt=0.0, le=100.0)] = 3.0
    tolerance: Annotated[float, Field(gt=0.0, le=10.0)] = 0.5


def criterion(parameters: Parameters) -> Criterion:
    """All lags fall together, and of the vanishing network only the far ones are small."""
    return Criterion(
        f"Training must bring the gradient at every lag down by at least {parameters.least_fall:g} decades while the "
        f"ratio between any two lags moves by at most {parameters.tolerance:g} decades. A network that vanishes must "
        f"look different: a loss at least as high as before training, a ratio between the ends of at least "
        f"{parameters.least_fall:g} decades.",
        {
            "smallest_fall": parameters.least_fall,
            "largest_change_of_ratio": parameters.tolerance,
            "vanishing_ratio": parameters.least_fall,
            "vanishing_first_lag": -1.0,
        },
    )


def ask(parameters: Parameters) -> list[Question]:
    """One descent in float64; the gradient by lag where it starts, where it ends, and in a network that vanishes."""
    weights: Body = {"source": "spectrum", "eigenvalues": parameters.eigenvalues, "seed": parameters.seed}
    state, target = _state_and_target(parameters)
    training = {
        "task": {
            "kind": "recurrence",
            "length": parameters.length,
            "weights": weights,
            "initial_state": {"kind": "values", "values": state},
            "target": target,
        },
        "optimizer": {"kind": "sgd", "learning_rate": parameters.learning_rate},
        "steps": parameters.steps,
        "policies": {_ONLY: {"kind": "none"}},
        "seeds": [parameters.seed],
        "dtype": "float64",
        "curvature_points": 0,
        "include": ["initial_parameters", "parameters"],
    }
    shrunk = [parameters.shrink * value for value in parameters.eigenvalues]
    return [
        Question(TRAINING, DESCENTS, training),
        after_training(BEFORE, TRAINING, None, parameters.seed, 0, _diagnosis(parameters, weights)),
        after_training(AFTER, TRAINING, _ONLY, parameters.seed, 0, _diagnosis(parameters, weights)),
        Question(VANISHING, DIAGNOSES, _diagnosis(parameters, {**weights, "eigenvalues": shrunk})),
    ]


def _state_and_target(parameters: Parameters) -> tuple[list[float], list[float]]:
    """Two random unit vectors."""
    drawn = np.random.default_rng(parameters.seed).standard_normal((2, len(parameters.eigenvalues)))
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return [float(x) for x in unit[0]], [float(x) for x in unit[1]]


def _diagnosis(parameters: Parameters, weights: Body) -> Body:
    state, target = _state_and_target(parameters)
    return {
        "network": {"cell": "linear", "weights": weights},
        "depth": parameters.length,
        "initial_state": {"kind": "values", "values": state},
        "loss": {"kind": "squared_error", "targets": target, "reduction": "half_sum"},
        "diagnostics": ["gradient_norms"],
        "lags": list(range(parameters.length + 1)),
        "seed": parameters.seed,
    }


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Fall by lag, change of the ratios, and the same two for the vanishing network."""
    missing = "training did not end in finite numbers"
    norms = {label: answers[label].gradient_norms.log10_norm for label in (BEFORE, VANISHING)}
    run = answers[TRAINING].runs[0]
    fall = spread = None
    if AFTER in answers:
        norms[AFTER] = answers[AFTER].gradient_norms.log10_norm
        falls = norms[BEFORE] - norms[AFTER]
        fall, spread = float(falls.min()), float(falls.max() - falls.min())
    ratio = float(norms[VANISHING][0] - norms[VANISHING][-1])
    numbers = [
        at_least(
            "smallest_fall",
            fall,
            parameters.least_fall,
            "decades by which the gradient falls at every lag",
            why=missing,
        ),
        at_most(
            "largest_change_of_ratio",
            spread,
            parameters.tolerance,
            "decades by which the ratio between two lags changes, at most",
            why=missing,
        ),
        at_least(
            "vanishing_ratio",
            ratio,
            parameters.least_fall,
            "decades between the first and the last lag of the network that vanishes",
            essential=False,
        ),
        at_least(
            "vanishing_first_lag",
            float(norms[VANISHING][0] - norms[BEFORE][0]),
            -1.0,
            "its gradient at lag 0, in decades above the one before training",
            essential=False,
        ),
        fact("first_loss", run.first_loss, "loss before training", why=run.loss_reason or ""),
        fact("final_loss", run.final_loss, "loss at the minimum", why=run.loss_reason or ""),
    ]
    return judge(
        numbers,
        partly="at a minimum all lags do shrink together; but the network to compare with does not vanish here",
        points=_points(norms),
    )


def _points(norms: dict[str, Any]) -> list[Point]:
    return [
        {"lag": lag, "log10_norm": float(value), "network": label}
        for label, series in norms.items()
        for lag, value in enumerate(series)
        if np.isfinite(value)
    ]


def draw(points: Sequence[Point]) -> Spec:
    """Three gradients by lag."""
    lines = layer(
        {"type": "line", "point": True},
        points,
        x=number("lag", "lag (steps back from the loss)"),
        y=number("log10_norm", "log10 gradient norm (decades)"),
        color=name("network", None, order=[BEFORE, AFTER, VANISHING]),
    )
    return chart(
        [lines],
        title="Two ways of being small",
        subtitle="at a minimum the whole curve sinks; vanishing tilts it",
    )


CLAIM = Claim(
    "small-at-a-minimum",
    "Gradients become small at a minimum too, so that small ones might be a good sign: but there all lags shrink "
    "together, while gradients that vanish are small at far lags only.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
