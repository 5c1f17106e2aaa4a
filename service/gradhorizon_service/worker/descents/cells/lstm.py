"""Long short-term memory, PyTorch's nn.LSTM: gates stacked i, f, g, o, and (h, c) as the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ..nonlinearity import SIGMOID, TANH
from ._cell import Parameters, driven, outer, summed
from .elman import BIASES


@dataclass(frozen=True)
class LstmCell:
    """c' = f * c + i * g, h' = o * tanh(c'); a step remembers i, f, g, o and tanh(c')."""

    is_trained: ClassVar[bool] = True

    def state_size(self, hidden_size: int) -> int:
        return 2 * hidden_size

    def record_size(self, hidden_size: int) -> int:
        return 5 * hidden_size

    def delta_size(self, hidden_size: int) -> int:
        return 4 * hidden_size

    def shapes(self, hidden_size: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {
            "weights": (4 * hidden_size, hidden_size),
            "input_weights": (4 * hidden_size, inputs),
            "input_bias": (4 * hidden_size,),
            "recurrent_bias": (4 * hidden_size,),
        }

    def drive(self, parameters: Parameters, inputs: Array | None) -> Array | None:
        return driven(parameters, inputs, BIASES)

    def advance(
        self, parameters: Parameters, state: Array, drive: Array | None, following: Array, record: Array
    ) -> None:
        H = state.shape[-1] // 2
        h, c = state[..., :H], state[..., H:]
        a = h @ np.swapaxes(parameters["weights"], 1, 2)
        if drive is not None:
            a += drive
        record[..., : 2 * H] = SIGMOID.value(a[..., : 2 * H])
        record[..., 2 * H : 3 * H] = TANH.value(a[..., 2 * H : 3 * H])
        record[..., 3 * H : 4 * H] = SIGMOID.value(a[..., 3 * H :])
        i, f, g, o, squashed = (record[..., k * H : (k + 1) * H] for k in range(5))
        c_new = following[..., H:]
        np.multiply(f, c, out=c_new)
        c_new += i * g
        squashed[...] = TANH.value(c_new)
        np.multiply(o, squashed, out=following[..., :H])

    def linearise(self, parameters: Parameters, states: Array, records: Array) -> LstmLinearised:
        H = states.shape[-1] // 2
        i, f, g, o, squashed = (records[..., k * H : (k + 1) * H] for k in range(5))
        to_gates = np.empty_like(records[..., : 4 * H])
        to_gates[..., :H] = g * i * (1.0 - i)
        to_gates[..., H : 2 * H] = states[:-1, ..., H:] * f * (1.0 - f)
        to_gates[..., 2 * H : 3 * H] = i * (1.0 - g * g)
        to_gates[..., 3 * H :] = squashed * o * (1.0 - o)
        return LstmLinearised(parameters, to_gates, o * (1.0 - squashed * squashed), f)


@dataclass(frozen=True, eq=False)
class LstmLinearised:
    """to_gates (T, R, B, 4H): from the gradients of c' (i, f, g) and h' (o) to those of the pre-activations.

    to_cell (T, R, B, H): from the gradient of h' to that of c'. keep: from c' to c.
    """

    parameters: Parameters
    to_gates: Array
    to_cell: Array
    keep: Array

    def pull(self, step: int, gradient: Array, delta: Array) -> Array:
        H = self.keep.shape[-1]
        g_h = gradient[..., :H]
        g_c = g_h * self.to_cell[step]
        g_c += gradient[..., H:]
        to_gates = self.to_gates[step]
        shape = (*g_c.shape[:-1], 3, H)
        np.multiply(
            g_c[..., None, :],
            to_gates[..., : 3 * H].reshape(shape),
            out=delta[..., : 3 * H].reshape(shape),
        )
        np.multiply(g_h, to_gates[..., 3 * H :], out=delta[..., 3 * H :])
        before = np.empty_like(gradient)
        before[..., :H] = delta @ self.parameters["weights"]
        np.multiply(g_c, self.keep[step], out=before[..., H:])
        return before

    def gradients(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, Array]:
        H = self.keep.shape[-1]
        found = {"weights": outer(deltas, states[:-1, ..., :H])}
        if inputs is not None and "input_weights" in self.parameters:
            found["input_weights"] = outer(deltas, inputs)
        bias = summed(deltas)
        return found | {name: bias for name in BIASES if name in self.parameters}
