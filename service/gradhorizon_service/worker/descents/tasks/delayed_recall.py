"""Delayed recall: which of several symbols was shown at the first step, asked at the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ._task import Batch, Verdict, judge_labels


@dataclass(frozen=True)
class DelayedRecall:
    """x_1 shows one of `symbols` on a line of its own; a last line rises at x_T, when it is to be named.

    Every line carries normal noise of standard deviation `noise` from the second step on.
    """

    length: int
    symbols: int = 4
    noise: float = 0.1
    is_drawn: ClassVar[bool] = True
    loss: ClassVar[str] = "cross_entropy"
    score: ClassVar[str] = "share of unseen sequences classified rightly"
    threshold: ClassVar[float] = 0.95

    @property
    def inputs(self) -> int:
        return self.symbols + 1

    @property
    def outputs(self) -> int:
        return self.symbols

    def draw(self, generator: np.random.Generator, batch: int, start: Mapping[str, Array]) -> Batch:
        labels = np.arange(batch) % self.symbols
        inputs = self.noise * generator.standard_normal((self.length, batch, self.inputs))
        inputs[0] = np.eye(self.inputs)[labels]
        inputs[-1, :, -1] += 1.0
        return Batch(inputs, None, labels)

    def judge(self, outputs: Array, targets: Array) -> Verdict:
        return judge_labels(outputs, targets, self.threshold)
