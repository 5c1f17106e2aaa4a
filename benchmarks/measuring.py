"""Interleaved timing: every contender once a round, so that a machine's drift hits all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FEWEST_ROUNDS = 3
MOST_ROUNDS = 15


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
    """Time every contender once a round, in turn, for about `seconds` after one round that is not counted."""
    started = time.perf_counter()
    for call in contenders.values():
        call()
    a_round = time.perf_counter() - started
    rounds = int(min(MOST_ROUNDS, max(FEWEST_ROUNDS, seconds / a_round)))
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            gc.collect()
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            call()
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(time.process_time() - cpu_start)
    return {name: Timing(tuple(cpu[name]), tuple(wall[name])) for name in contenders}
