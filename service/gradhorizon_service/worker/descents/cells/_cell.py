"""What a cell that is trained offers: one step of many networks at once, and its way back.

The equations are those of `worker.cells`, which the tests hold these to. Here every run has weights of its own:
parameters are (R, ...) arrays by their names in a request, states (R, B, S), and whole trajectories (T, R, B, ...). Any
float type goes through, and so do the complex numbers that carry derivatives (see `curvature`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ..._types import Array

Parameters = Mapping[str, Array]


class Linearised(Protocol):
    """The step Jacobians along the trajectories of all runs; `step` counts from 0."""

    def pull(self, step: int, gradient: Array, delta: Array) -> Array:
        """J_t^T g, (R, B, S); what parameters' gradients are made of is written into `delta`, (R, B, P)."""
        ...

    def gradients(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, Array]:
        """The gradient of every parameter: deltas (T, R, B, P), states (T + 1, R, B, S), inputs (T, R, B, D)."""
        ...


class BatchedCell(Protocol):
    """One step of R networks, s' = F(s, x), written into arrays that are there already."""

    @property
    def is_trained(self) -> bool:
        """Whether its parameters receive gradients, and not only those of the readout."""
        ...

    def state_size(self, hidden_size: int) -> int:
        """Entries S of a state; its leading `hidden_size` are h."""
        ...

    def record_size(self, hidden_size: int) -> int:
        """Numbers P that a step remembers for its way back."""
        ...

    def delta_size(self, hidden_size: int) -> int:
        """Numbers that `pull` leaves for the parameters' gradients."""
        ...

    def shapes(self, hidden_size: int, inputs: int) -> dict[str, tuple[int, ...]]:
        """The parameters of one network by name."""
        ...

    def drive(self, parameters: Parameters, inputs: Array | None) -> Array | None:
        """What is added to the pre-activations, broadcastable to (T, R, B, ...); None for nothing."""
        ...

    def advance(
        self, parameters: Parameters, state: Array, drive: Array | None, following: Array, record: Array
    ) -> None:
        """Write s' and the record of the step."""
        ...

    def linearise(self, parameters: Parameters, states: Array, records: Array) -> Linearised:
        """The Jacobians of finished trajectories, states (T + 1, R, B, S) and records (T, R, B, P)."""
        ...


def driven(parameters: Parameters, inputs: Array | None, biases: tuple[str, ...]) -> Array | None:
    """U x + b for all steps at once, (T, R, B, P), or (1, R, 1, P) without inputs, None without both."""
    total = None
    for name in biases:
        if name in parameters:
            bias = parameters[name][None, :, None, :]
            total = bias if total is None else total + bias
    if inputs is None or "input_weights" not in parameters:
        return total
    pushed = inputs @ np.swapaxes(parameters["input_weights"], 1, 2)
    return pushed if total is None else pushed + total


def outer(left: Array, right: Array) -> Array:
    """sum over steps and sequences of left (x) right: (T, R, B, P) and (T, R, B, Q) to (R, P, Q)."""
    runs = left.shape[1]
    a = left.transpose(1, 3, 0, 2).reshape(runs, left.shape[3], -1)
    b = right.transpose(1, 0, 2, 3).reshape(runs, -1, right.shape[3])
    return np.asarray(a @ b)


def summed(deltas: Array) -> Array:
    """The gradient of a bias: (T, R, B, P) to (R, P)."""
    return np.asarray(deltas.sum(axis=(0, 2)))
