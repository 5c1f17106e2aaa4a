"""Levels that a series is watched for: the first step below each of some, and above each of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array


@dataclass(frozen=True)
class Passages:
    """The first step at which a series lies below each level, or above it; None for never up to the depth.

    In the order of the levels. `certain` says that every step was computed or excluded by a bound.
    """

    below: tuple[int | None, ...]
    above: tuple[int | None, ...]
    certain: bool = True


class Levels:
    """Levels on one side, met in order of their distance: who lies below a deep one has passed the nearer ones."""

    def __init__(self, levels: Sequence[float], sign: int) -> None:
        self._sign = sign
        self._order = sorted(range(len(levels)), key=lambda i: sign * levels[i])
        self._sorted = [sign * levels[i] for i in self._order]
        self._steps: list[int] = []

    @property
    def is_met(self) -> bool:
        """Whether every level has been passed."""
        return len(self._steps) == len(self._order)

    def are_passed_by(self, value: Array | float) -> bool:
        """Whether this value lies beyond a level not met before."""
        return not self.is_met and bool(self._sign * value > self._sorted[len(self._steps)])

    def note(self, values: Array, offset: int) -> None:
        """Look through the values at steps offset, offset + 1, ..., which follow all that were noted before."""
        signed = self._sign * values
        while not self.is_met:
            beyond = signed > self._sorted[len(self._steps)]
            if not beyond.any():
                return
            self._steps.append(offset + int(np.argmax(beyond)))

    def steps(self) -> tuple[int | None, ...]:
        """The first step beyond each level, in the order the levels were given in."""
        found: list[int | None] = [None] * len(self._order)
        for index, step in zip(self._order, self._steps, strict=False):
            found[index] = step
        return tuple(found)


def passages_of(series: Array, below: Sequence[float], above: Sequence[float]) -> Passages:
    """Find all of them in a series over every step, (T + 1,)."""
    low, high = Levels(below, -1), Levels(above, 1)
    low.note(series, 0)
    high.note(series, 0)
    return Passages(low.steps(), high.steps())
