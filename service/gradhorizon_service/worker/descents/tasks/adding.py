"""The adding problem of Hochreiter and Schmidhuber (1997): two marked numbers among many, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ._task import Batch, Verdict, judge_errors


@dataclass(frozen=True)
class Adding:
    """x_t = (number, mark): numbers uniform in [0, 1], one mark in each half of the sequence; the target is the sum.

    Always answering 1, the mean of the sum, has the error 1/6; solved means a tenth of that.
    """

    length: int
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    is_drawn: ClassVar[bool] = True
    loss: ClassVar[str] = "squared_error"
    score: ClassVar[str] = "mean squared error on unseen sequences"
    threshold: ClassVar[float] = 1.0 / 60.0

    def draw(self, generator: np.random.Generator, batch: int, start: Mapping[str, Array]) -> Batch:
        half = self.length // 2
        rows = np.arange(batch)
        marks = generator.integers(0, half, batch), generator.integers(half, self.length, batch)
        inputs = np.zeros((self.length, batch, 2))
        inputs[..., 0] = generator.random((self.length, batch))
        total = np.zeros((batch, 1))
        for steps in marks:
            inputs[steps, rows, 1] = 1.0
            total[:, 0] += inputs[steps, rows, 0]
        return Batch(inputs, None, total)

    def judge(self, outputs: Array, targets: Array) -> Verdict:
        return judge_errors(outputs, targets, self.threshold)
