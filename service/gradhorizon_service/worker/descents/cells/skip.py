"""A skip over d steps: h_t = phi(W h_{t-1} + V h_{t-d} + U x_t + b), or V h_{t-d} outside phi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ..nonlinearity import Nonlinearity
from ._cell import Parameters, driven, outer, summed
from .elman import BIASES


@dataclass(frozen=True)
class SkipCell:
    """The state is h_{t-1}, ..., h_{t-d} side by side; `inside` says where V h_{t-d} is added."""

    nonlinearity: Nonlinearity
    delay: int
    inside: bool = True
    is_trained: ClassVar[bool] = True

    def state_size(self, hidden_size: int) -> int:
        return self.delay * hidden_size

    def record_size(self, hidden_size: int) -> int:
        return hidden_size

    def delta_size(self, hidden_size: int) -> int:
        """The gradient of the pre-activation, and of h' beside it where the skip goes around phi."""
        return hidden_size if self.inside else 2 * hidden_size

    def shapes(self, hidden_size: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {
            "weights": (hidden_size, hidden_size),
            "skip_weights": (hidden_size, hidden_size),
            "input_weights": (hidden_size, inputs),
            "input_bias": (hidden_size,),
            "recurrent_bias": (hidden_size,),
        }

    def drive(self, parameters: Parameters, inputs: Array | None) -> Array | None:
        return driven(parameters, inputs, BIASES)

    def advance(
        self, parameters: Parameters, state: Array, drive: Array | None, following: Array, record: Array
    ) -> None:
        N = record.shape[-1]
        skipped = state[..., -N:] @ np.swapaxes(parameters["skip_weights"], 1, 2)
        np.matmul(state[..., :N], np.swapaxes(parameters["weights"], 1, 2), out=record)
        if drive is not None:
            record += drive
        if self.inside:
            record += skipped
        following[..., :N] = self.nonlinearity.value(record)
        if not self.inside:
            following[..., :N] += skipped
        following[..., N:] = state[..., :-N]

    def linearise(self, parameters: Parameters, states: Array, records: Array) -> SkipLinearised:
        return SkipLinearised(self, parameters, self.nonlinearity.slope(records))


@dataclass(frozen=True, eq=False)
class SkipLinearised:
    """slopes (T, R, B, N) = phi'(a_t)."""

    cell: SkipCell
    parameters: Parameters
    slopes: Array

    def pull(self, step: int, gradient: Array, delta: Array) -> Array:
        N = self.slopes.shape[-1]
        a = delta[..., :N]
        np.multiply(gradient[..., :N], self.slopes[step], out=a)
        around = a
        if not self.cell.inside:
            delta[..., N:] = around = gradient[..., :N]
        before = np.zeros_like(gradient)
        before[..., :-N] = gradient[..., N:]
        before[..., :N] += a @ self.parameters["weights"]
        before[..., -N:] += around @ self.parameters["skip_weights"]
        return before

    def gradients(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, Array]:
        N = self.slopes.shape[-1]
        inner = deltas[..., :N]
        found = {
            "weights": outer(inner, states[:-1, ..., :N]),
            "skip_weights": outer(deltas[..., -N:], states[:-1, ..., -N:]),
        }
        if inputs is not None and "input_weights" in self.parameters:
            found["input_weights"] = outer(inner, inputs)
        bias = summed(inner)
        return found | {name: bias for name in BIASES if name in self.parameters}
