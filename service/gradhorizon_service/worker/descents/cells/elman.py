"""Cells with one matrix: h' = k h + s phi(W h + U x + b), plain, leaky or residual as k and s have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._types import Array
from ..nonlinearity import Nonlinearity
from ._cell import Parameters, driven, outer, summed

BIASES = ("bias", "input_bias", "recurrent_bias")


@dataclass(frozen=True)
class ElmanCell:
    """`keep` k and `scale` s: 0 and 1 for the plain cell, 1 - a and a with a leak rate a, 1 and s for a residual."""

    nonlinearity: Nonlinearity
    keep: float = 0.0
    scale: float = 1.0
    is_trained: bool = True

    def state_size(self, hidden_size: int) -> int:
        return hidden_size

    def record_size(self, hidden_size: int) -> int:
        return hidden_size

    def delta_size(self, hidden_size: int) -> int:
        return hidden_size

    def shapes(self, hidden_size: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {
            "weights": (hidden_size, hidden_size),
            "input_weights": (hidden_size, inputs),
            "input_bias": (hidden_size,),
            "recurrent_bias": (hidden_size,),
        }

    def drive(self, parameters: Parameters, inputs: Array | None) -> Array | None:
        return driven(parameters, inputs, BIASES)

    def advance(
        self, parameters: Parameters, state: Array, drive: Array | None, following: Array, record: Array
    ) -> None:
        np.matmul(state, np.swapaxes(parameters["weights"], 1, 2), out=record)
        if drive is not None:
            record += drive
        following[...] = self.nonlinearity.value(record)
        if self.scale != 1.0:
            following *= self.scale
        if self.keep != 0.0:
            following += self.keep * state

    def linearise(self, parameters: Parameters, states: Array, records: Array) -> ElmanLinearised:
        plain = self.keep == 0.0 and self.scale == 1.0
        phi = self.nonlinearity
        slopes = phi.slopes_along(records, states[1:]) if plain else phi.slope(records)
        return ElmanLinearised(self, parameters, slopes if self.scale == 1.0 else self.scale * slopes)


@dataclass(frozen=True, eq=False)
class ElmanLinearised:
    """slopes (T, R, B, N) = s phi'(a_t)."""

    cell: ElmanCell
    parameters: Parameters
    slopes: Array

    def pull(self, step: int, gradient: Array, delta: Array) -> Array:
        np.multiply(gradient, self.slopes[step], out=delta)
        before = delta @ self.parameters["weights"]
        if self.cell.keep != 0.0:
            before += self.cell.keep * gradient
        return np.asarray(before)

    def gradients(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, Array]:
        found = {"weights": outer(deltas, states[:-1])}
        if inputs is not None and "input_weights" in self.parameters:
            found["input_weights"] = outer(deltas, inputs)
        bias = summed(deltas)
        return found | {name: bias for name in BIASES if name in self.parameters}
