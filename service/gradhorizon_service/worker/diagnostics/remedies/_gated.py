"""An LSTM or a GRU of the same size in the place of another recurrence, initialised as PyTorch does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._types import Array
from ...block_diagonal import BlockDiagonal
from ...problem import NetworkSpec, Problem
from ...seeds import derive_seed
from ...sources import EnsembleSource
from ._remedy import MOST_STEPS, Subject

_MOST_WORK = 2e12
"""Products of numbers in all runs of a search; beyond, a gated network is not tried."""

GATES = {"lstm": 4, "gru": 3}


def too_large(problem: Problem) -> str | None:
    """Why a gated network of the same size is not run."""
    kind = problem.network.kind
    if not kind.is_recurrent or not (kind.has_matrix or kind.is_gated):
        return f"there is no recurrence of {problem.network.cell} to replace"
    weights = problem.network.parameters.get("weights")
    if weights is None or isinstance(weights, BlockDiagonal) or getattr(weights, "is_diagonal", False):
        return "a gated network of the same size is not tried for a recurrence that is kept as its spectrum"
    size = weights.shape[1]
    if (
        problem.depth > MOST_STEPS
        or 200.0 * problem.depth * max(size * size, 2000.0) * problem.batch > _MOST_WORK
    ):
        return f"a gated network of {size} units over {problem.depth} steps would take too long to run in a search"
    return None


def gated_network(subject: Subject, cell: str, gate: int, increase: float = 0.0) -> NetworkSpec:
    """nn.LSTM or nn.GRU with N units and the same inputs: uniform up to 1/sqrt(N), biases too.

    `increase` is added to the input bias of one gate, counted in the order of their stacking.
    """
    rows, size, seed = GATES[cell] * subject.size, subject.size, subject.problem.seed

    def drawn(role: str, columns: int) -> EnsembleSource:
        return EnsembleSource(
            "torch_default",
            shape=(rows, columns),
            seed=derive_seed(seed, f"remedies.{cell}.{role}"),
            hidden_size=size,
        )

    bias = drawn("input_bias", 1).build()[:, 0]
    parameters: dict[str, Any] = {
        "weights": drawn("weights", size),
        "input_bias": raised(bias, size, gate, increase),
        "recurrent_bias": drawn("recurrent_bias", 1).build()[:, 0],
    }
    given = subject.parameters.get("input_weights")
    if given is not None:
        parameters["input_weights"] = drawn("input_weights", given.shape[1])
    return NetworkSpec(cell, parameters)


def as_requested(network: NetworkSpec) -> Mapping[str, Any]:
    """A drawn network as a request names it: its ensembles with their seeds, its biases by their numbers."""
    return {"cell": network.cell, **{name: _field(value) for name, value in network.parameters.items()}}


def _field(value: Any) -> Any:
    if isinstance(value, EnsembleSource):
        return {
            "source": "ensemble",
            "family": value.family,
            "shape": list(value.shape),
            "hidden_size": value.hidden_size,
            "seed": value.seed,
        }
    return value.tolist()


def numbers_in(network: NetworkSpec) -> int:
    """How many numbers its biases have."""
    return sum(value.size for value in network.parameters.values() if isinstance(value, np.ndarray))


def raised(bias: Array, size: int, gate: int, increase: float) -> Array:
    """A stacked bias with a number added for one gate."""
    changed = np.array(bias, dtype=np.float64)
    changed[gate * size : (gate + 1) * size] += increase
    return changed
