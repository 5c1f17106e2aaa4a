"""Clipping stops the overshoot, not the vanishing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number, rule

from ._claim import Answers, Claim, Question
from ._descents import CLIPPED, DESCENTS, FREE, UNDONE, after_training, by_name, policies, ratio, runs, seeds
from ._judgement import Criterion, Judgement, Point, at_least, at_most, fact, judge
from ._networks import Body, rectangle, square

CLIFF, TRAINING = "over a cliff", "training"


class Parameters(ClaimParameters):
    """First the cliff, with and without clipping; then networks trained to remember one bit, with and without.

    After training the horizon of every network is measured on sequences of the task's noise; `horizon_factor` is by how
    much clipping must not lengthen it.
    """

    cliff_length: Annotated[int, Field(ge=2, le=200)] = 50
    cliff_learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.15
    cliff_threshold: Annotated[float, Field(gt=0.0, le=1e6)] = 0.01
    cliff_steps: Annotated[int, Field(ge=2, le=2000)] = 300
    length: Annotated[int, Field(ge=2, le=100)] = 20
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.2
    hidden_size: Annotated[int, Field(ge=1, le=64)] = 8
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    threshold: Annotated[float, Field(gt=0.0, le=1e6)] = 0.05
    steps: Annotated[int, Field(ge=1, le=5000)] = 300
    runs: Annotated[int, Field(ge=1, le=32)] = 10
    clipped_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    success_gain: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    horizon_factor: Annotated[float, Field(ge=1.0, le=100.0)] = 1.5


def criterion(parameters: Parameters) -> Criterion:
    """The cliff must be tamed by clipping; loss, success and horizon after training must not."""
    return Criterion(
        f"On the cliff a single step must undo {UNDONE:.0%} of the progress without clipping, and none with it. In the "
        f"training on a task of {parameters.length} steps clipping must act in {parameters.clipped_share:.0%} of the "
        f"updates; the rate of success may then be higher by at most {parameters.success_gain:g} with clipping, and "
        f"the median horizon longer by a factor of at most {parameters.horizon_factor:g}.",
        {
            "cliff_progress_lost": UNDONE,
            "cliff_progress_lost_clipped": UNDONE,
            "clipped_share": parameters.clipped_share,
            "success_gained": parameters.success_gain,
            "horizon_factor": parameters.horizon_factor,
        },
    )


def ask(parameters: Parameters) -> list[Question]:
    """The cliff, the training, and a diagnosis of every trained network."""
    cliff = {
        "task": {"kind": "cliff", "length": parameters.cliff_length},
        "optimizer": {"kind": "sgd", "learning_rate": parameters.cliff_learning_rate},
        "policies": policies(parameters.cliff_threshold),
        "steps": parameters.cliff_steps,
        "curvature_points": 0,
    }
    training = {
        "task": {"kind": "latch", "length": parameters.length, "noise": parameters.noise},
        "cell": {"kind": "rnn", "hidden_size": parameters.hidden_size},
        "optimizer": {"kind": "sgd", "learning_rate": parameters.learning_rate},
        "policies": policies(parameters.threshold),
        "steps": parameters.steps,
        "seeds": seeds(parameters.seed, parameters.runs),
        "curvature_points": 0,
        "include": ["parameters"],
    }
    return [
        Question(CLIFF, DESCENTS, cliff),
        Question(TRAINING, DESCENTS, training),
        *_diagnoses(parameters),
    ]


def _diagnoses(parameters: Parameters) -> list[Question]:
    drawn = seeds(parameters.seed, parameters.runs)
    return [
        after_training(_label(policy, seed), TRAINING, policy, seed, place, _diagnosis(parameters))
        for place, (policy, seed) in enumerate((p, s) for p in (FREE, CLIPPED) for s in drawn)
    ]


def _label(policy: str, seed: int) -> str:
    return f"trained {policy}, seed {seed}"


def _diagnosis(parameters: Parameters) -> Body:
    size = parameters.hidden_size
    return {
        "network": {
            "cell": "rnn",
            "weights": square("torch_default", size, 0),
            "input_weights": {**rectangle("torch_default", size, 1, 0), "hidden_size": size},
        },
        "depth": _depth(parameters),
        "inputs": {"kind": "gaussian", "std": parameters.noise, "batch": 16, "seed": parameters.seed},
        "diagnostics": ["gradient_norms"],
        "max_points": 24,
        "seed": parameters.seed,
    }


def _depth(parameters: Parameters) -> int:
    """Deep enough to see a horizon well beyond the task."""
    return 5 * parameters.length


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Steps back on the cliff; success, loss and horizon after training."""
    cliff, trained = by_name(answers[CLIFF]), by_name(answers[TRAINING])
    drawn = seeds(parameters.seed, parameters.runs)
    horizons = {
        policy: _median([_steps(answers.get(_label(policy, seed)), parameters) for seed in drawn])
        for policy in (FREE, CLIPPED)
    }
    factor = ratio(horizons[CLIPPED], horizons[FREE])
    numbers = [
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
        ),
        at_least(
            "clipped_share",
            trained[CLIPPED].clip_events / (parameters.steps * parameters.runs),
            parameters.clipped_share,
            "share of the updates of the training that were clipped",
        ),
        at_most(
            "success_gained",
            trained[CLIPPED].success_rate - trained[FREE].success_rate,
            parameters.success_gain,
            f"by how much clipping raises the rate of success at {parameters.length} steps",
        ),
        at_most(
            "horizon_factor",
            factor,
            parameters.horizon_factor,
            "median horizon of networks trained with clipping over that of the others",
            essential=False,
            why="the networks of one kind have no horizon: they ended without finite parameters",
        ),
        fact("success_free", trained[FREE].success_rate, f"rate of success {FREE}"),
        fact("success_clipped", trained[CLIPPED].success_rate, f"rate of success {CLIPPED}"),
        *(
            fact(f"horizon_{word}", horizons[policy], f"median horizon in steps of networks trained {policy}")
            for policy, word in ((FREE, "free"), (CLIPPED, "clipped"))
        ),
        *(
            fact(
                f"loss_{word}",
                _median([run.final_loss for run in runs(answers[TRAINING], policy)]),
                f"median loss after training {policy}",
            )
            for policy, word in ((FREE, "free"), (CLIPPED, "clipped"))
        ),
    ]
    return judge(
        numbers,
        partly="clipping stops the overshoot and does not teach the task; but at this threshold it also moved the "
        "horizon of the trained networks",
        points=_points(answers, drawn),
    )


def _steps(report: Any, parameters: Parameters) -> float | None:
    if report is None:
        return None
    horizon = report.horizon
    return float(_depth(parameters)) if horizon.censored else horizon.steps


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _points(answers: Answers, drawn: Sequence[int]) -> list[Point]:
    points: list[Point] = []
    for policy in (FREE, CLIPPED):
        for seed in drawn:
            report = answers.get(_label(policy, seed))
            if report is None:
                continue
            norms = report.gradient_norms
            points += [
                {
                    "lag": int(lag),
                    "change": float(value - norms.log10_norm[0]),
                    "policy": policy,
                    "seed": seed,
                }
                for lag, value in zip(norms.lag, norms.log10_norm, strict=True)
                if np.isfinite(value - norms.log10_norm[0])
            ]
    return points


def draw(points: Sequence[Point]) -> Spec:
    """The gradient by lag in every trained network."""
    named = [{**point, "run": f"{point['policy']} {point['seed']}"} for point in points]
    lines = layer(
        {"type": "line", "strokeWidth": 1.5, "opacity": 0.8},
        named,
        x=number("lag", "lag (steps back from the loss)"),
        y=number("change", "gradient norm relative to lag 0 (decades)"),
        color=name("policy", "trained", order=[FREE, CLIPPED]),
        strokeDash=name("policy", None, order=[FREE, CLIPPED], legend=None),
        detail={"field": "run", "type": "nominal"},
    )
    return chart(
        [*rule(y=-3.0), lines],
        title="Trained with clipping, gradients vanish all the same",
        subtitle="one line a network, after training; dashed across: a thousandth",
    )


CLAIM = Claim(
    "clipping-symptom",
    "Clipping treats a symptom: it stops the overshoot, and does nothing about gradients that vanish.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
