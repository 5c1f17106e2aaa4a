"""A diagnosis of a network that a descent starts from or ends with, asked for before the descent has been run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._types import Array
from .problem import Problem
from .sources import MatrixSource, Source


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """`template` with the parameters of one run of the descent named `descent` in the place of its own.

    Without a `policy` they are those that the run starts from.
    """

    template: Problem
    descent: str
    seed: int
    policy: str | None = None

    def complete(self, results: Mapping[str, Any]) -> Problem | None:
        """Return the diagnosis; None where the run left the finite numbers."""
        found = results[self.descent]
        if self.policy is None:
            seeds = list(dict.fromkeys(run.seed for run in found.runs))
            parameters = found.initial[seeds.index(self.seed)]
        else:
            runs = [(run.policy, run.seed) for run in found.runs]
            parameters = found.final[runs.index((self.policy, self.seed))]
        return None if parameters is None else _filled(self.template, parameters)


def _filled(template: Problem, parameters: Mapping[str, Array]) -> Problem:
    """Sources become matrices, everything else of the same name arrays; readouts belong to no network."""
    network = template.network
    given = {
        name: _in_place_of(network.parameters.get(name), np.asarray(values, dtype=np.float64))
        for name, values in parameters.items()
        if not name.startswith("readout")
    }
    return replace(template, network=replace(network, parameters={**network.parameters, **given}))


def _in_place_of(before: Any, values: Array) -> Source | Array:
    return MatrixSource(values) if isinstance(before, Source) else values
