"""A descent as plain data: what a worker process is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..clipping import ClippingPolicy
from .network import Network
from .starts import Start
from .tasks import Task


@dataclass(frozen=True, eq=False)
class DescentProblem:
    """Every seed with every policy is a run: the policies of a seed share its start and its sequences.

    `fresh`: every step sees sequences of its own, else all see the same. `optimizer` is a kind with its fields.
    `curvature_points`: at how many steps, evenly spaced, the curvature is measured. `include`: parameters,
    initial_parameters, data, runs.
    """

    task: Task
    network: Network
    start: Start
    optimizer: Mapping[str, Any]
    policies: Mapping[str, ClippingPolicy]
    steps: int
    seeds: Sequence[int]
    dtype: str = "float64"
    batch: int = 1
    test_batch: int = 1
    fresh: bool = False
    curvature_points: int = 0
    max_points: int = 256
    include: frozenset[str] = frozenset()

    @property
    def runs(self) -> int:
        """R, policies times seeds; the runs of a policy lie side by side."""
        return len(self.policies) * len(self.seeds)
