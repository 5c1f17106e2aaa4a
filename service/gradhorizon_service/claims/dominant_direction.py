"""After many steps the state points along the exploding eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from gradhorizon.schemas import ClaimParameters
from gradhorizon_service.charts.spec import Spec, chart, layer, name, number, rule

from ._claim import Answers, Claim, Question
from ._judgement import Criterion, Judgement, Point, at_least, fact, judge
from ._networks import Body, symmetric_or_not

Eigenvalue = Annotated[float, Field(ge=-2.0, le=2.0)]
Step = Annotated[int, Field(ge=1, le=800)]
STARTS = 16
NORMAL, CHAIN = "the matrix of the claim", "a chain of one eigenvalue"


class Parameters(ClaimParameters):
    """`eigenvalues` and `condition` make the matrix of the claim, `chain_...` the non-normal counter-example.

    The chain has one eigenvalue on its whole diagonal and `chain_coupling` beside it: one eigenvector, and no basis of
    them. Sixteen random starts; the alignment is their median.
    """

    eigenvalues: Annotated[list[Eigenvalue], Field(min_length=2, max_length=64)] = Field(
        default_factory=lambda: [1.2, 1.1, 1.05, 0.95, 0.9, 0.8, 0.5, 0.3]
    )
    condition: Annotated[float, Field(ge=1.0, le=1e8)] = 1.0
    chain_size: Annotated[int, Field(ge=2, le=32)] = 8
    chain_eigenvalue: Annotated[float, Field(gt=0.0, le=2.0)] = 1.1
    chain_coupling: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    steps: Annotated[list[Step], Field(min_length=1, max_length=24)] = Field(
        default_factory=lambda: [1, 2, 5, 10, 20, 50, 100, 200]
    )
    alignment: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99


def criterion(parameters: Parameters) -> Criterion:
    """Alignment at the last step."""
    return Criterion(
        f"After {max(parameters.steps)} steps the median cosine between the state and the dominant eigenvector must "
        f"reach {parameters.alignment:g}: for the matrix of the claim, and for a non-normal chain too, if the "
        "sentence is to hold without conditions.",
        {"alignment": parameters.alignment, "chain_alignment": parameters.alignment},
    )


def ask(parameters: Parameters) -> list[Question]:
    """Both matrices from the same kind of start, stopped at several steps."""
    matrices: dict[str, Body] = {
        NORMAL: symmetric_or_not(parameters.eigenvalues, parameters.condition, parameters.seed),
        CHAIN: {"source": "matrix", "values": _chain(parameters)},
    }
    diagnostic = {NORMAL: "modes", CHAIN: "state_norms"}
    return [
        Question(
            f"{label}, {step} steps",
            "/v1/diagnoses",
            {
                "network": {"cell": "linear", "weights": weights},
                "depth": step,
                "initial_state": {"kind": "gaussian", "batch": STARTS, "seed": parameters.seed},
                "diagnostics": [diagnostic[label]],
                "max_points": 2,
                "seed": parameters.seed,
            },
        )
        for label, weights in matrices.items()
        for step in _steps(parameters)
    ]


def _steps(parameters: Parameters) -> list[int]:
    return sorted(set(parameters.steps))


def _chain(parameters: Parameters) -> list[list[float]]:
    size = parameters.chain_size
    chain = parameters.chain_eigenvalue * np.eye(size) + parameters.chain_coupling * np.eye(size, k=1)
    return [[float(entry) for entry in row] for row in chain]


def measure(parameters: Parameters, answers: Answers) -> Judgement:
    """The alignment by step; of the chain with its only eigenvector, the first unit vector."""
    steps = _steps(parameters)
    modes = {step: answers[f"{NORMAL}, {step} steps"].modes for step in steps}
    chain = {step: _first_share(answers[f"{CHAIN}, {step} steps"].state_norms.final_state) for step in steps}
    last = steps[-1]
    reached = next((step for step in steps if (modes[step].alignment or 0.0) >= parameters.alignment), None)
    largest = max(map(abs, parameters.eigenvalues))
    numbers = [
        at_least(
            "alignment",
            modes[last].alignment,
            parameters.alignment,
            f"cosine between the state and the dominant eigenvector after {last} steps",
            why=modes[last].dominance_reason or "",
        ),
        at_least(
            "chain_alignment",
            chain[last],
            parameters.alignment,
            f"the same for a chain of {parameters.chain_size} units, which is not normal",
            essential=False,
        ),
        fact(
            "aligned_from_step",
            reached,
            "first of the steps shown at which the matrix of the claim is aligned",
        ),
        fact(
            "largest_eigenvalue", largest, "largest eigenvalue in modulus; the direction is exploding above 1"
        ),
    ]
    points: list[Point] = [
        {"step": step, "alignment": value, "matrix": label}
        for label, series in ((NORMAL, {s: m.alignment for s, m in modes.items()}), (CHAIN, chain))
        for step, value in series.items()
        if value is not None
    ]
    return judge(
        numbers,
        partly="when the matrix has a basis of eigenvectors and one of them dominates: the non-normal chain turns "
        "towards its eigenvector as 1/steps only, however large its eigenvalue",
        points=points,
    )


def _first_share(states: np.ndarray | None) -> float | None:
    """Median cosine of states (B, N) with the first unit vector."""
    if states is None:
        return None
    rows = states / np.abs(states).max(axis=1, keepdims=True)
    return float(np.median(np.abs(rows[:, 0]) / np.linalg.norm(rows, axis=1)))


def draw(points: Sequence[Point]) -> Spec:
    """Alignment by step for both matrices."""
    layers = [
        *rule(y=1.0),
        layer(
            {"type": "line", "point": True},
            points,
            x=number("step", "step", scale="log"),
            y=number("alignment", "cosine with the dominant eigenvector", zero=True),
            color=name("matrix", None, order=[NORMAL, CHAIN]),
        ),
    ]
    return chart(layers, title="Where the state points", subtitle="median over sixteen random starts")


CLAIM = Claim(
    "dominant-direction",
    "Whatever state it starts from, after many steps the recurrence points along the eigenvectors with the largest, "
    "exploding eigenvalue.",
    Parameters,
    criterion,
    ask,
    measure,
    draw,
)
