"""The two-symbol latch of Bengio, Simard and Frasconi (1994): one bit, shown at the first step and told at the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ._task import Batch, Verdict, judge_labels


@dataclass(frozen=True)
class Latch:
    """x_1 is +1 or -1, x_2 .. x_T are normal noise of standard deviation `noise`; two classes, by the sign of x_1.

    The paper trains two values in the place of +-1, uses noise of 0.2 and asks for +-0.8 instead of a class.
    """

    length: int
    noise: float = 0.2
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 2
    is_drawn: ClassVar[bool] = True
    loss: ClassVar[str] = "cross_entropy"
    score: ClassVar[str] = "share of unseen sequences classified rightly"
    threshold: ClassVar[float] = 0.95

    def draw(self, generator: np.random.Generator, batch: int, start: Mapping[str, Array]) -> Batch:
        labels = np.arange(batch) % 2
        inputs = self.noise * generator.standard_normal((self.length, batch, 1))
        inputs[0, :, 0] = 2.0 * labels - 1.0
        return Batch(inputs, None, labels)

    def judge(self, outputs: Array, targets: Array) -> Verdict:
        return judge_labels(outputs, targets, self.threshold)
