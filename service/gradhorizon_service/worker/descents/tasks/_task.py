"""What a task offers: sequences with targets, the loss, and what counts as solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..._types import Array


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences of one run: inputs (T, B, D) or None, initial h (B, N) or None, targets (B,) labels or (B, K)."""

    inputs: Array | None
    initial: Array | None
    targets: Array


@dataclass(frozen=True, eq=False)
class Verdict:
    """Of every run, (R,): whether the task is solved, and the score that says so; a score may be NaN."""

    solved: Array
    score: Array


class Task(Protocol):
    """A task of `length` steps: the loss is taken at the last, on a readout of `outputs` numbers or on h itself."""

    @property
    def length(self) -> int:
        """T."""
        ...

    @property
    def inputs(self) -> int:
        """D; 0 for a task without inputs."""
        ...

    @property
    def outputs(self) -> int:
        """K; 0 where the loss acts on h itself."""
        ...

    @property
    def loss(self) -> str:
        """Name in `losses.LOSSES`."""
        ...

    @property
    def score(self) -> str:
        """What is scored."""
        ...

    @property
    def threshold(self) -> float:
        """The score from which on a run has solved the task."""
        ...

    @property
    def is_drawn(self) -> bool:
        """Whether there are other sequences than the ones trained on."""
        ...

    def draw(self, generator: np.random.Generator, batch: int, start: Mapping[str, Array]) -> Batch:
        """Fresh sequences for the run that starts from these parameters."""
        ...

    def judge(self, outputs: Array, targets: Array) -> Verdict:
        """Score outputs (R, B, K) of all runs."""
        ...


def judge_labels(outputs: Array, targets: Array, threshold: float) -> Verdict:
    """The share of sequences whose largest output is the right one."""
    right = np.argmax(outputs, axis=-1) == targets
    # argmax of a row with a NaN is that NaN, which may stand in the right place.
    score = np.where(np.isfinite(outputs).all(axis=(1, 2)), right.mean(axis=1), np.nan)
    return Verdict(score >= threshold, score)


def judge_errors(outputs: Array, targets: Array, threshold: float) -> Verdict:
    """The mean squared error."""
    score = np.square(outputs - targets).mean(axis=(1, 2))
    return Verdict(score <= threshold, np.where(np.isfinite(score), score, np.nan))
