"""Vanishing and exploding gradients have nothing to do with sigmoids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number, rule

from ._claim import Answers, Claim, Question
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge
from ._networks import square

Gain = Annotated[float, Field(gt=0.0, le=8.0)]
NEVER_SATURATING = ("identity", "relu")
ACTIVATIONS = (*NEVER_SATURATING, "tanh", "sigmoid")


class Parameters(ClaimParameters):
    """Gaussian weights (or orthogonal ones) times each gain, for four activations on the same initial states."""

    family: Literal["gaussian", "orthogonal"] = "gaussian"
    gains: Annotated[list[Gain], Field(min_length=2, max_length=12)] = Field(
        default_factory=lambda: [0.5, 0.8, 1.0, 1.25, 2.0]
    )
    size: Annotated[int, Field(ge=2, le=256)] = 64
    depth: Annotated[int, Field(ge=2, le=1000)] = 100
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    tolerance_decades: Annotated[float, Field(gt=0.0, le=100.0)] = 3.0


def criterion(parameters: Parameters) -> Criterion:
    """Activations without saturation must vanish and explode too, and the sigmoid must do nothing else."""
    return Criterion(
        f"The identity and the ReLU, which never saturate, must vanish at the smallest gain and explode at the largest "
        f"(by {parameters.tolerance_decades:g} decades over the depth); and at no gain may the sigmoid get another "
        "verdict than the identity, if sigmoids are to play no part at all.",
        {
            "activations_that_vanish_and_explode": float(len(NEVER_SATURATING)),
            "gains_with_other_verdict": 0.0,
        },
    )


def ask(parameters: Parameters) -> list[Question]:
    """A comparison of the activations for every gain."""
    return [
        Question(
            _label(gain),
            "/v1/comparisons",
            {
                "networks": {
                    activation: {
                        "cell": "rnn",
                        "activation": activation,
                        "weights": square(parameters.family, parameters.size, parameters.seed, gain),
                    }
                    for activation in ACTIVATIONS
                },
                "depth": parameters.depth,
                "initial_state": {"kind": "gaussian", "batch": parameters.batch, "seed": parameters.seed},
                "tolerance_decades": parameters.tolerance_decades,
                "max_points": 2,
                "seed": parameters.seed,
            },
        )
        for gain in _gains(parameters)
    ]


def _gains(parameters: Parameters) -> list[float]:
    return sorted(set(parameters.gains))


def _label(gain: float) -> str:
    return f"gain {gain:g}"


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Count activations and gains."""
    gains = _gains(parameters)
    rows = {gain: {row.name: row for row in answers[_label(gain)].rows} for gain in gains}
    both = [
        activation
        for activation in NEVER_SATURATING
        if rows[gains[0]][activation].status == "vanishing"
        and rows[gains[-1]][activation].status == "exploding"
    ]
    apart = [gain for gain in gains if rows[gain]["sigmoid"].status != rows[gain]["identity"].status]
    numbers = [
        at_least(
            "activations_that_vanish_and_explode",
            len(both),
            len(NEVER_SATURATING),
            f"of identity and ReLU, how many vanish at gain {gains[0]:g} and explode at gain {gains[-1]:g}",
        ),
        at_most(
            "gains_with_other_verdict",
            len(apart),
            0.0,
            "gains at which the sigmoid gets another verdict than the identity",
            essential=False,
        ),
        *(
            fact(
                f"decades_per_step_{activation}",
                rows[gains[0]][activation].decades_per_step,
                f"growth of the gradient through {activation} at gain {gains[0]:g}",
                why=rows[gains[0]][activation].decades_per_step_reason or "",
            )
            for activation in ACTIVATIONS
        ),
    ]
    points: list[Point] = [
        {
            "gain": gain,
            "decades_per_step": row.decades_per_step,
            "activation": activation,
            "status": row.status,
        }
        for gain in gains
        for activation, row in rows[gain].items()
        if row.decades_per_step is not None
    ]
    where = ", ".join(f"{gain:g}" for gain in apart)
    return judge(
        numbers,
        partly="vanishing and exploding need no sigmoid; but its slope, at most 1/4, takes up to 0.6 decades a step "
        f"by itself, and decides the verdict at the gains {where}",
        points=points,
    )


def draw(points: Sequence[Point]) -> Spec:
    """Growth per step by gain, one line an activation."""
    layers = [
        *rule(y=0.0),
        layer(
            {"type": "line", "point": True},
            points,
            x=number("gain", "gain of the weights", scale="log", axis={"values": _ticks(points)}),
            y=number("decades_per_step", "growth of the gradient (decades per step)", zero=True),
            color=name("activation", None, order=ACTIVATIONS),
        ),
    ]
    return chart(
        layers,
        title="It happens with every activation",
        subtitle="above 0 gradients explode, below they vanish",
    )


def _ticks(points: Sequence[Point]) -> list[float]:
    return sorted({float(point["gain"] or 0.0) for point in points})


CLAIM = Claim(
    "not-the-sigmoid",
    "Gradients that vanish or explode are not a matter of sigmoids: the repeated multiplication is enough.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
