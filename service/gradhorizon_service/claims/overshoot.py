"""Along the dominant direction the loss is very high, and gradient descent overshoots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number

from ._claim import Answers, Claim, Question
from ._descents import (
    CLIPPED,
    DESCENTS,
    FREE,
    UNDONE,
    by_name,
    overshoots,
    policies,
    ratio,
    runs,
    seeds,
    share,
)
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge

Eigenvalue = Annotated[float, Field(ge=-2.0, le=2.0)]
IN, OUT, CLIFF = "into the dominant direction", "out of it", "over a cliff"


class Parameters(ClaimParameters):
    """A linear recurrence that is to reach random targets, from its dominant eigenvector and from another one.

    The second part is the cliff of Pascanu et al. (2013): one sigmoid unit, with a learning rate and a threshold of its
    own.
    """

    eigenvalues: Annotated[list[Eigenvalue], Field(min_length=2, max_length=32)] = Field(
        default_factory=lambda: [1.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    )
    other: Annotated[int, Field(ge=1, le=31)] = 4
    length: Annotated[int, Field(ge=1, le=100)] = 10
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.01
    threshold: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    steps: Annotated[int, Field(ge=2, le=2000)] = 200
    runs: Annotated[int, Field(ge=1, le=64)] = 20
    loss_factor: Annotated[float, Field(ge=1.0, le=1e12)] = 10.0
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    cliff_length: Annotated[int, Field(ge=2, le=200)] = 50
    cliff_learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.15
    cliff_threshold: Annotated[float, Field(gt=0.0, le=1e6)] = 0.01
    cliff_steps: Annotated[int, Field(ge=2, le=2000)] = 300

    @model_validator(mode="after")
    def _other_exists(self) -> Parameters:
        if self.other >= len(self.eigenvalues):
            raise ValueError(
                f"other is {self.other}, but there are eigenvalues 0 to {len(self.eigenvalues) - 1} only"
            )
        return self


def criterion(parameters: Parameters) -> Criterion:
    """Loss, overshoot, the cliff; clipping."""
    return Criterion(
        f"From the dominant eigenvector the loss must start {parameters.loss_factor:g} times as high as from the other "
        f"one, and at least {parameters.share:.0%} of the descents from there must overshoot: a single step undoes "
        f"{UNDONE:.0%} of the progress made, or ends above the start. On the cliff a single step must undo "
        f"{UNDONE:.0%} of the progress made, and with clipping none may.",
        {
            "loss_factor": parameters.loss_factor,
            "share_overshooting_in": parameters.share,
            "cliff_progress_lost": UNDONE,
            "cliff_progress_lost_clipped": UNDONE,
            "share_overshooting_clipped": 0.0,
            "share_overshooting_out": 0.5,
        },
    )


def ask(parameters: Parameters) -> list[Question]:
    """Three descents."""
    directions = {IN: 0, OUT: parameters.other}
    return [
        *(
            Question(label, DESCENTS, _from_eigenvector(parameters, index))
            for label, index in directions.items()
        ),
        Question(CLIFF, DESCENTS, _cliff(parameters)),
    ]


def _from_eigenvector(parameters: Parameters, index: int) -> dict[str, Any]:
    return {
        "task": {
            "kind": "recurrence",
            "length": parameters.length,
            "weights": {"source": "spectrum", "eigenvalues": parameters.eigenvalues, "seed": parameters.seed},
            "initial_state": {"kind": "eigenvector", "index": index},
        },
        "optimizer": {"kind": "sgd", "learning_rate": parameters.learning_rate},
        "policies": policies(parameters.threshold),
        "steps": parameters.steps,
        "seeds": seeds(parameters.seed, parameters.runs),
        "curvature_points": 0,
    }


def _cliff(parameters: Parameters) -> dict[str, Any]:
    return {
        "task": {"kind": "cliff", "length": parameters.cliff_length},
        "optimizer": {"kind": "sgd", "learning_rate": parameters.cliff_learning_rate},
        "policies": policies(parameters.cliff_threshold),
        "steps": parameters.cliff_steps,
        "curvature_points": 0,
    }


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Losses at the start, overshooting runs, and the largest step back on the cliff."""
    first = {label: _median_first_loss(answers[label]) for label in (IN, OUT)}
    shares = {
        (label, policy): share([overshoots(run) for run in runs(answers[label], policy)])
        for label in (IN, OUT)
        for policy in (FREE, CLIPPED)
    }
    cliff = by_name(answers[CLIFF])
    factor = ratio(first[IN], first[OUT])
    numbers = [
        at_least(
            "loss_factor", factor, parameters.loss_factor, f"first loss {IN} over the one {OUT}, medians"
        ),
        at_least(
            "share_overshooting_in",
            shares[IN, FREE],
            parameters.share,
            f"share of the descents {IN} that overshoot",
        ),
        at_least(
            "cliff_progress_lost",
            cliff[FREE].largest_progress_lost,
            UNDONE,
            "share of the progress that one step on the cliff undoes",
        ),
        at_most(
            "cliff_progress_lost_clipped",
            cliff[CLIPPED].largest_progress_lost,
            UNDONE,
            "the same with clipping",
            essential=False,
        ),
        at_most(
            "share_overshooting_clipped",
            shares[IN, CLIPPED],
            0.0,
            f"share of the descents {IN} that overshoot with clipping",
            essential=False,
        ),
        at_most(
            "share_overshooting_out",
            shares[OUT, FREE],
            0.5,
            f"share of the descents {OUT} that overshoot at the same learning rate",
            essential=False,
        ),
        fact("cliff_final_loss", _last(cliff[FREE].course.loss), "last loss on the cliff"),
        fact("cliff_final_loss_clipped", _last(cliff[CLIPPED].course.loss), "the same with clipping"),
    ]
    return judge(
        numbers,
        partly="gradient descent does overshoot along exploding directions, but at these thresholds and rates "
        "clipping does not prevent all of it, or other directions do no better",
        points=_points(cliff),
    )


def _median_first_loss(report: Any) -> float | None:
    losses = [run.first_loss for run in runs(report, FREE) if run.first_loss is not None]
    return float(np.median(losses)) if losses else None


def _last(series: Any) -> float | None:
    return float(series[-1]) if len(series) else None


def _points(cliff: dict[str, Any]) -> list[Point]:
    return [
        {"step": int(step), "loss": float(loss), "policy": policy}
        for policy in (FREE, CLIPPED)
        for step, loss in zip(cliff[policy].course.step, cliff[policy].course.loss, strict=True)
        if loss > 0.0
    ]


def draw(points: Sequence[Point]) -> Spec:
    """The loss on the cliff, step by step."""
    lines = layer(
        {"type": "line", "strokeWidth": 1.5},
        points,
        x=number("step", "step of the descent", scale="symlog"),
        y=number("loss", "loss", scale="log", axis={"format": "~e"}),
        color=name("policy", None, order=[FREE, CLIPPED]),
    )
    return chart(
        [lines], title="Descent towards a cliff", subtitle="one sigmoid unit, the task of Pascanu et al. 2013"
    )


CLAIM = Claim(
    "overshoot",
    "Along an exploding direction the loss is very high; gradient descent overshoots there and undoes the progress it "
    "has made. Clipping the gradient prevents that.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
