"""With shared weights the problem appears at a depth of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number, rule

from ._claim import Answers, Claim, Question
from ._descents import DESCENTS, seeds
from ._judgement import Criterion, Judgement, Point, at_least, fact, judge

Length = Annotated[int, Field(ge=2, le=100)]
VANILLA, LSTM = "vanilla recurrence", "LSTM"


class Parameters(ClaimParameters):
    """The two-symbol latch of Bengio et al. (1994): one bit at the first step, asked for at the last.

    At every length each of `runs` seeds trains both cells for `steps` steps; a run succeeds that classifies 95 % of
    unseen sequences. `forget_bias` is what the LSTM's forget gate starts from.
    """

    lengths: Annotated[list[Length], Field(min_length=1, max_length=12)] = Field(
        default_factory=lambda: [2, 5, 10, 20]
    )
    depth: Length = 10
    runs: Annotated[int, Field(ge=20, le=100)] = 20
    hidden_size: Annotated[int, Field(ge=1, le=64)] = 8
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    steps: Annotated[int, Field(ge=1, le=5000)] = 200
    batch_size: Annotated[int, Field(ge=2, le=256)] = 16
    forget_bias: Annotated[float, Field(ge=-20.0, le=20.0)] = 1.0
    near_certainty: Annotated[float, Field(gt=0.5, le=1.0)] = 0.95
    advantage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2

    @model_validator(mode="after")
    def _depth_is_one_of_the_lengths(self) -> Parameters:
        if self.depth not in self.lengths:
            raise ValueError(f"depth is {self.depth}, and must be one of the lengths")
        return self


def criterion(parameters: Parameters) -> Criterion:
    """Success at the shortest length, failure at the longest and at ten, and a better LSTM."""
    sure = parameters.near_certainty
    return Criterion(
        f"Trained by {parameters.optimizer} over {parameters.runs} seeds, the vanilla recurrence must succeed with a "
        f"rate of {sure:g} at the shortest length and fail with that rate at the longest. Near certainty at a depth of "
        f"{parameters.depth} means that it fails with that rate there already; and the LSTM's rate of success there "
        f"must be higher by {parameters.advantage:g}.",
        {
            "success_at_the_shortest": sure,
            "failure_at_the_longest": sure,
            "failure_at_depth": sure,
            "lstm_advantage_at_depth": parameters.advantage,
        },
    )


def ask(parameters: Parameters) -> list[Question]:
    """A descent for each cell and length."""
    cells: dict[str, dict[str, Any]] = {
        VANILLA: {"kind": "rnn", "hidden_size": parameters.hidden_size},
        LSTM: {"kind": "lstm", "hidden_size": parameters.hidden_size, "forget_bias": parameters.forget_bias},
    }
    return [
        Question(
            f"{label}, length {length}",
            DESCENTS,
            {
                "task": {"kind": "latch", "length": length},
                "cell": cell,
                "optimizer": {"kind": parameters.optimizer, "learning_rate": parameters.learning_rate},
                "steps": parameters.steps,
                "batch_size": parameters.batch_size,
                "seeds": seeds(parameters.seed, parameters.runs),
                "curvature_points": 0,
                "max_points": 2,
            },
        )
        for label, cell in cells.items()
        for length in _lengths(parameters)
    ]


def _lengths(parameters: Parameters) -> list[int]:
    return sorted(set(parameters.lengths))


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """Rates of success by cell and length."""
    solved = {
        (label, length): answers[f"{label}, length {length}"].policies[0].solved
        for label in (VANILLA, LSTM)
        for length in _lengths(parameters)
    }
    return judge_counts(parameters, solved)


def judge_counts(parameters: Parameters, solved: dict[tuple[str, int], int]) -> Judgement:
    """Judge how many of the runs succeeded, by (cell, length)."""
    lengths, depth, sure = _lengths(parameters), parameters.depth, parameters.near_certainty
    rates = {key: count / parameters.runs for key, count in solved.items()}
    failed = {length: (parameters.runs - solved[VANILLA, length]) / parameters.runs for length in lengths}
    failing = [length for length in lengths if failed[length] >= sure]
    low, high = wilson(parameters.runs - solved[VANILLA, depth], parameters.runs)
    numbers = [
        at_least(
            "success_at_the_shortest",
            rates[VANILLA, lengths[0]],
            sure,
            f"rate of success of the {VANILLA} at length {lengths[0]}",
        ),
        at_least(
            "failure_at_the_longest",
            failed[lengths[-1]],
            sure,
            f"rate of failure of the {VANILLA} at length {lengths[-1]}",
        ),
        at_least(
            "failure_at_depth",
            failed[depth],
            sure,
            f"rate of failure of the {VANILLA} at length {depth}",
            essential=False,
        ),
        at_least(
            "lstm_advantage_at_depth",
            (solved[LSTM, depth] - solved[VANILLA, depth]) / parameters.runs,
            parameters.advantage,
            f"by how much the {LSTM}'s rate of success at length {depth} is higher",
            essential=False,
        ),
        fact(
            "failure_at_depth_low",
            low,
            f"lower end of the 95 % interval of the rate of failure at length {depth}",
        ),
        fact("failure_at_depth_high", high, "upper end of it"),
        fact(
            "nearly_certain_from_length",
            failing[0] if failing else None,
            "shortest of these lengths at which failure is nearly certain",
            why="it is nearly certain at none of them",
        ),
    ]
    points: list[Point] = [
        {"length": length, "success_rate": rate, "cell": label} for (label, length), rate in rates.items()
    ]
    certain = f", and nearly all from length {failing[0]} on" if failing else ""
    return judge(
        numbers,
        partly=f"the rate of success does fall with the length: at {depth} steps {failed[depth]:.0%} of the runs "
        f"fail{certain}",
        points=points,
    )


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate seen `count` times `of` so many (Wilson 1927)."""
    z = 1.959963984540054
    centre = (count + z * z / 2.0) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(count * (of - count) / of + z * z / 4.0)
    return max(0.0, centre - half), min(1.0, centre + half)


def draw(points: Sequence[Point]) -> Spec:
    """The rate of success by length for both cells."""
    lines = layer(
        {"type": "line", "point": True},
        points,
        x=number("length", "length of the sequence (steps between the bit and the question)"),
        y=number("success_rate", "share of the runs that succeed", zero=True, axis={"format": "%"}),
        color=name("cell", None, order=[VANILLA, LSTM]),
    )
    return chart(
        [*rule(y=1.0), lines],
        title="Learning to remember one bit",
        subtitle="the latch of Bengio et al. 1994",
    )


CLAIM = Claim(
    "depth-ten",
    "With shared weights the problem appears with near certainty at a depth of ten already.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
