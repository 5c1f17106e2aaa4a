"""Interleaved timing: every contender once a round, so that a machine's drift hits all alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FEWEST_ROUNDS = 3
MOST_ROUNDS = 15
SHORTEST_SECONDS = 0.05


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender, an entry a round: process CPU (user and system, all threads) and wall."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]

    @property
    def cpu_seconds(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.cpu)

    @property
    def wall_seconds(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.wall)

    def ratio_to(self, other: Timing) -> float:
        """Median over the rounds of this contender's CPU time over the other's in the same round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.cpu, other.cpu, strict=True))

    def wall_ratio_to(self, other: Timing) -> float:
        """The same with wall time."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.wall, other.wall, strict=True))

    def ratio_range_to(self, other: Timing) -> tuple[float, float]:
        """The smallest and the largest of those CPU ratios."""
        ratios = [mine / theirs for mine, theirs in zip(self.cpu, other.cpu, strict=True)]
        return min(ratios), max(ratios)


def interleaved(contenders: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Time every contender once a round, in turn, for about `seconds` after first calls that are not counted.

    A contender that is done in less than `SHORTEST_SECONDS` is called as often as fills them, and a call's share taken.
    """
    estimates = {name: _estimate(call) for name, call in contenders.items()}
    repeats = {name: max(1, math.ceil(SHORTEST_SECONDS / estimates[name])) for name in contenders}
    a_round = sum(estimates[name] * repeats[name] for name in contenders)
    rounds = int(min(MOST_ROUNDS, max(FEWEST_ROUNDS, seconds / a_round)))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        gc.collect()
        for name, call in contenders.items():
            found[name].append(_timed(call, repeats[name]))
    return {name: Timing(*zip(*times, strict=True)) for name, times in found.items()}


def _estimate(call: Callable[[], object]) -> float:
    """Wall seconds of a call; of the second, where the first is so short that memory and caches were most of it."""
    first = _timed(call, 1)[1]
    return _timed(call, 1)[1] if first < 1.0 else first


def _timed(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds a call, CPU and wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats
