"""Gated recurrent unit, PyTorch's nn.GRU: gates stacked r, z, n, the reset after the recurrent product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._types import Array
from ..nonlinearity import SIGMOID, TANH
from ._cell import Parameters, driven, outer, summed


@dataclass(frozen=True)
class GruCell:
    """n = tanh(U_n x + b_in + r * q), q = W_n h + b_hn, h' = (1 - z) n + z h; a step remembers r, z, n and q."""

    is_trained: ClassVar[bool] = True

    def state_size(self, hidden_size: int) -> int:
        return hidden_size

    def record_size(self, hidden_size: int) -> int:
        return 4 * hidden_size

    def delta_size(self, hidden_size: int) -> int:
        """The gradients of the pre-activations of r, z, n, and of q."""
        return 4 * hidden_size

    def shapes(self, hidden_size: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {
            "weights": (3 * hidden_size, hidden_size),
            "input_weights": (3 * hidden_size, inputs),
            "input_bias": (3 * hidden_size,),
            "recurrent_bias": (3 * hidden_size,),
        }

    def drive(self, parameters: Parameters, inputs: Array | None) -> Array | None:
        return driven(parameters, inputs, ("input_bias",))

    def advance(
        self, parameters: Parameters, state: Array, drive: Array | None, following: Array, record: Array
    ) -> None:
        H = state.shape[-1]
        a = state @ np.swapaxes(parameters["weights"], 1, 2)
        a += parameters["recurrent_bias"][:, None, :]
        q = record[..., 3 * H :]
        q[...] = a[..., 2 * H :]
        if drive is not None:
            a[..., : 2 * H] += drive[..., : 2 * H]
        record[..., : 2 * H] = SIGMOID.value(a[..., : 2 * H])
        r, z = record[..., :H], record[..., H : 2 * H]
        pushed = r * q
        if drive is not None:
            pushed += drive[..., 2 * H :]
        n = record[..., 2 * H : 3 * H]
        n[...] = TANH.value(pushed)
        np.subtract(state, n, out=following)
        following *= z
        following += n

    def linearise(self, parameters: Parameters, states: Array, records: Array) -> GruLinearised:
        H = states.shape[-1]
        r, z, n, q = (records[..., k * H : (k + 1) * H] for k in range(4))
        into_n = (1.0 - z) * (1.0 - n * n)
        to_gates = np.empty_like(records)
        to_gates[..., :H] = into_n * q * r * (1.0 - r)
        to_gates[..., H : 2 * H] = (states[:-1] - n) * z * (1.0 - z)
        to_gates[..., 2 * H : 3 * H] = into_n
        to_gates[..., 3 * H :] = into_n * r
        return GruLinearised(parameters, to_gates, z)


@dataclass(frozen=True, eq=False)
class GruLinearised:
    """to_gates (T, R, B, 4H): from the gradient of h' to those of r, z, n before their activations, and of q."""

    parameters: Parameters
    to_gates: Array
    keep: Array

    def pull(self, step: int, gradient: Array, delta: Array) -> Array:
        H = self.keep.shape[-1]
        shape = (*gradient.shape[:-1], 4, H)
        np.multiply(gradient[..., None, :], self.to_gates[step].reshape(shape), out=delta.reshape(shape))
        weights = self.parameters["weights"]
        before = delta[..., : 2 * H] @ weights[:, : 2 * H]
        before += delta[..., 3 * H :] @ weights[:, 2 * H :]
        before += gradient * self.keep[step]
        return np.asarray(before)

    def gradients(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, Array]:
        H = self.keep.shape[-1]
        recurrent = np.concatenate([deltas[..., : 2 * H], deltas[..., 3 * H :]], axis=-1)
        into = deltas[..., : 3 * H]
        found = {"weights": outer(recurrent, states[:-1]), "recurrent_bias": summed(recurrent)}
        if inputs is not None and "input_weights" in self.parameters:
            found["input_weights"] = outer(into, inputs)
        return found | {"input_bias": summed(into)}
