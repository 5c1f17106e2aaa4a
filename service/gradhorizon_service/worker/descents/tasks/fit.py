"""A given state after so many steps without inputs: the cliff of Pascanu et al., and linear recurrences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ...drives import InitialState
from ._task import Batch, Verdict


@dataclass(frozen=True, eq=False)
class Fit:
    """From h_0 reach `target` (N,) after `length` steps.

    `initial` is h_0; a number is the standard deviation of a normal one, drawn for each seed, and None stands for a
    random unit vector, as it does for `target`. Solved means a squared distance of at most a thousandth of that of
    the target from zero.
    """

    length: int
    size: int
    initial: InitialState | float | None = None
    target: Array | None = None
    loss: str = "half_squared_error"
    inputs: ClassVar[int] = 0
    outputs: ClassVar[int] = 0
    is_drawn: ClassVar[bool] = False
    score: ClassVar[str] = "squared distance from the target, relative to the target's own square"
    threshold: ClassVar[float] = 0.001

    def draw(self, generator: np.random.Generator, batch: int, start: Mapping[str, Array]) -> Batch:
        target = _unit(generator, self.size) if self.target is None else self.target
        return Batch(None, self._initial(generator, start)[None], target[None])

    def _initial(self, generator: np.random.Generator, start: Mapping[str, Array]) -> Array:
        if self.initial is None:
            return _unit(generator, self.size)
        if isinstance(self.initial, float):
            return np.asarray(self.initial * generator.standard_normal(self.size))
        return np.asarray(self.initial.build(1, self.size, start["weights"])[0])

    def judge(self, outputs: Array, targets: Array) -> Verdict:
        square = np.square(targets).sum(axis=(1, 2))
        score = np.square(outputs - targets).sum(axis=(1, 2)) / np.where(square > 0.0, square, 1.0)
        return Verdict(score <= self.threshold, np.where(np.isfinite(score), score, np.nan))


def _unit(generator: np.random.Generator, size: int) -> Array:
    row = generator.standard_normal(size)
    return np.asarray(row / np.linalg.norm(row))
