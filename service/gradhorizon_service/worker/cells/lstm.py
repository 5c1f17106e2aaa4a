"""Long short-term memory, PyTorch's nn.LSTM, with projection, peepholes and activations of choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..linear_map import LinearMap
from ..products.factors import Factors
from ..products.lstm_factors import LstmFactors
from ._activated import make_activation
from ._cell import Nonlinearity, OuterSum
from ._driven import Drive, DriveByStep
from ._gates import evaluated

GATES = ("input", "forget", "cell", "output")
PEEPHOLES = ("input", "forget", "output")


@dataclass(frozen=True, eq=False)
class LstmCell:
    """c' = f * c + i * phi(a_g), h' = R (o * phi(c')), with i, f, o = sigma(a): the state is (h, c).

    weights (4H, P) and the drive are stacked i, f, g, o as in PyTorch; a = W h + U x + b, plus p_i * c and p_f * c
    inside i and f, p_o * c' inside o, where there are peepholes (3, H) (Gers, Schraudolph and Schmidhuber 2002).
    projection R (P, H); without one h has P = H entries.
    """

    weights: Array
    activation_of_cell: Activation
    gate_activation: Activation
    driven: Drive
    projection: Array | None
    peepholes: Array | None

    recurrent: ClassVar[bool] = True
    homogeneous: ClassVar[bool] = False
    matrix: ClassVar[None] = None
    activation: ClassVar[None] = None
    splits: ClassVar[bool] = False

    @classmethod
    def build(
        cls,
        *,
        weights: Array,
        activation: str = "tanh",
        gate_activation: str = "sigmoid",
        input_weights: Array | None = None,
        bias: Array | None = None,
        input_bias: Array | None = None,
        recurrent_bias: Array | None = None,
        projection: Array | None = None,
        peepholes: Array | None = None,
        **activation_parameters: float | None,
    ) -> LstmCell:
        """Build from a request's fields; activation parameters belong to `activation`."""
        driven = Drive.of(
            input_weights, len(weights), bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias
        )
        phi = make_activation(activation, activation_parameters)
        return cls(weights, phi, make_activation(gate_activation, {}), driven, projection, peepholes)

    @property
    def hidden_size(self) -> int:
        """H, the entries of c."""
        return len(self.weights) // len(GATES)

    @property
    def state_size(self) -> int:
        return self.output_size + self.hidden_size

    @property
    def output_size(self) -> int:
        return int(self.weights.shape[1])

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.output_size), "c": slice(self.output_size, self.state_size)}

    @cached_property
    def recurrence(self) -> LinearMap:
        """W as a map."""
        return LinearMap(self.weights)

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | DriveByStep | None:
        return self.driven.by_steps(inputs, (steps, batch, len(self.weights)))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        """The record (B, 6H), or (B, 7H) with a projection, is what `LstmLinearisation` describes."""
        P, H = self.output_size, self.hidden_size
        c = state[:, P:]
        a = self.recurrence.forward(state[:, :P])
        if drive is not None:
            a += drive
        if self.peepholes is not None:
            a[:, :H] += self.peepholes[0] * c
            a[:, H : 2 * H] += self.peepholes[1] * c
        gates = evaluated(self.gate_activation, a[:, : 2 * H])
        i, f = gates.value[:, :H], gates.value[:, H:]
        g = evaluated(self.activation_of_cell, a[:, 2 * H : 3 * H])
        following = np.empty_like(state)
        c_new = following[:, P:]
        np.multiply(f, c, out=c_new)
        c_new += i * g.value
        if self.peepholes is not None:
            a[:, 3 * H :] += self.peepholes[2] * c_new
        o = evaluated(self.gate_activation, a[:, 3 * H :])
        output = evaluated(self.activation_of_cell, c_new)
        record = np.empty((len(state), 6 if self.projection is None else 7, H))
        np.multiply(g.value, gates.slope[:, :H], out=record[:, 0])
        np.multiply(c, gates.slope[:, H:], out=record[:, 1])
        np.multiply(i, g.slope, out=record[:, 2])
        np.multiply(output.value, o.slope, out=record[:, 3])
        record[:, 4] = f
        np.multiply(o.value, output.slope, out=record[:, 5])
        if self.peepholes is not None:
            record[:, 4] += record[:, 0] * self.peepholes[0] + record[:, 1] * self.peepholes[1]
            record[:, 5] += record[:, 3] * self.peepholes[2]
        if self.projection is None:
            np.multiply(o.value, output.value, out=following[:, :P])
        else:
            np.multiply(o.value, output.value, out=record[:, 6])
            following[:, :P] = np.dot(record[:, 6], self.projection.T)
        return following, record.reshape(len(state), -1)

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> LstmLinearisation:
        records = np.asarray(preactivations)
        width = 6 if self.projection is None else 7
        return LstmLinearisation(self, records.reshape(*records.shape[:2], width, self.hidden_size))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        """The gates by their names, and `c`: what phi made of c' on its way out."""
        P, H, along = self.output_size, self.hidden_size, np.asarray(states)
        a = self.driven.preactivations(self.weights, along[:-1, :, :P], inputs)
        c, c_new = along[:-1, :, P:], along[1:, :, P:].copy()
        i, f, g, o = (a[..., k * H : (k + 1) * H] for k in range(len(GATES)))
        if self.peepholes is not None:
            i += self.peepholes[0] * c
            f += self.peepholes[1] * c
            o += self.peepholes[2] * c_new
        gate, phi = self.gate_activation, self.activation_of_cell
        found = {
            "input": Nonlinearity(gate, i, is_gate=True),
            "forget": Nonlinearity(gate, f, is_gate=True, keeps="value"),
            "output": Nonlinearity(gate, o, is_gate=True),
        }
        return (
            found
            if isinstance(phi, Identity)
            else found
            | {
                "cell": Nonlinearity(phi, g),
                "c": Nonlinearity(phi, c_new),
            }
        )


@dataclass(frozen=True, eq=False)
class LstmLinearisation:
    """The Jacobians of all steps, from a record (T, B, 6, H) of factors that stand before the products.

    With m = o * phi(c') the output before its projection, a step moves

        dc' = (C_i W_i + C_f W_f + C_g W_g) dh + F dc,    dm = C_o W_o dh + R dc',    dh' = projection dm,

    every capital but W a diagonal: C_i = phi(a_g) sigma'(a_i), C_f = c sigma'(a_f), C_g = i phi'(a_g),
    C_o = phi(c') sigma'(a_o), F = f and R = o phi'(c'), to which peepholes add C_i p_i + C_f p_f and C_o p_o. They
    stand in the record in this order, then m where there is a projection.

    A delta is the gradient of the four pre-activations, and with a projection that of h' behind it.
    """

    cell: LstmCell
    record: Array

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        gates, g_c = self._gates(step, gradient)
        flat = gates.reshape(*gates.shape[:-2], -1)
        P = self.cell.output_size
        before = np.empty_like(gradient)
        before[..., :P] = self.cell.recurrence.back(flat)
        np.multiply(g_c, self.record[step, :, 4], out=before[..., P:])
        return before, self._delta(flat, gradient)

    def _gates(self, step: int, gradient: Array) -> tuple[Array, Array]:
        """The gradients of the pre-activations (..., B, 4, H), and of c' over both of its ways, (..., B, H)."""
        record, P = self.record[step], self.cell.output_size
        g_m = gradient[..., :P]
        if self.cell.projection is not None:
            g_m = g_m @ self.cell.projection
        g_c = g_m * record[:, 5]
        g_c += gradient[..., P:]
        gates = np.empty((*gradient.shape[:-1], len(GATES), self.cell.hidden_size))
        np.multiply(g_c[..., None, :], record[:, :3], out=gates[..., :3, :])
        np.multiply(g_m, record[:, 3], out=gates[..., 3, :])
        return gates, g_c

    def _delta(self, gates: Array, gradient: Array) -> Array:
        if self.cell.projection is None:
            return gates
        return np.concatenate([gates, gradient[..., : self.cell.output_size]], axis=-1)

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        steps = len(self.record)
        found = []
        for lag, gradient in enumerate(gradients[:steps]):
            gates, _ = self._gates(steps - 1 - lag, gradient)
            found.append(self._delta(gates.reshape(*gates.shape[:-2], -1), gradient))
        if not found:  # the first step left float64
            batch, cell = self.record.shape[1], self.cell
            return self._delta(np.zeros((0, batch, len(cell.weights))), np.zeros((0, batch, cell.state_size)))  # type: ignore[return-value]
        return found

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        cell, H, P = self.cell, self.cell.hidden_size, self.cell.output_size
        gates = deltas[..., : 4 * H]
        terms = {
            "weights": OuterSum(gates, states[:-1, :, :P]),
            **cell.driven.parameter_terms(gates, inputs),
        }
        if cell.projection is not None:
            terms["projection"] = OuterSum(deltas[..., 4 * H :], self.record[:, :, 6])
        if cell.peepholes is not None:
            c = states[..., P:]
            into = np.concatenate([gates[..., : 2 * H], gates[..., 3 * H :]], axis=-1)
            terms["peepholes"] = OuterSum(
                into, np.concatenate([c[:-1], c[:-1], c[1:]], axis=-1), elementwise=True, shape=(3, H)
            )
        return terms

    def factors(self) -> Factors:
        return LstmFactors(self.cell.weights, self.record[:, :, :6], self.cell.projection)
