"""Gated recurrent unit, PyTorch's nn.GRU, with the variants of other frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..linear_map import LinearMap
from ..products.factors import Factors
from ..products.gru_factors import ResetAfterFactors, ResetBeforeFactors
from ._activated import make_activation
from ._cell import Linearisation, Nonlinearity, OuterSum
from ._driven import Drive, DriveByStep
from ._gates import Evaluated, evaluated

GATES = ("reset", "update", "new")

Update = Callable[[Evaluated, Array, Array], tuple[Array, Array, Array]]
"""The weights of n and of h in h', and dh'/dz, from z, h and n."""


def _keep(z: Evaluated, h: Array, n: Array) -> tuple[Array, Array, Array]:
    """h' = (1 - z) n + z h: PyTorch, Keras, ONNX."""
    return z.rest, z.value, h - n


def _replace(z: Evaluated, h: Array, n: Array) -> tuple[Array, Array, Array]:
    """h' = (1 - z) h + z n: Chung et al. (2014), Haiku."""
    return z.value, z.rest, n - h


UPDATES: Mapping[str, Update] = {"keep": _keep, "replace": _replace}
"""Name in a request -> what the update gate does."""


@dataclass(frozen=True, eq=False)
class _GruCell:
    """weights (3H, H) and the drive are stacked r, z, n as in PyTorch; r, z = sigma(W h + U x + b).

    What goes into n = phi(...) is each variant's own.
    """

    weights: Array
    activation_of_cell: Activation
    gate_activation: Activation
    update: Update
    driven: Drive

    recurrent: ClassVar[bool] = True
    homogeneous: ClassVar[bool] = False
    matrix: ClassVar[None] = None
    activation: ClassVar[None] = None
    parts: ClassVar[None] = None
    splits: ClassVar[bool] = False

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.weights.shape[1])

    @property
    def state_size(self) -> int:
        return self.hidden_size

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def _nonlinearities(self, gates: Array, n: Array) -> Mapping[str, Nonlinearity]:
        """By their names, from the pre-activations of r and z, (T, B, 2H), and of n, (T, B, H)."""
        H, gate, phi = self.hidden_size, self.gate_activation, self.activation_of_cell
        found = {
            "reset": Nonlinearity(gate, gates[..., :H], is_gate=True),
            "update": Nonlinearity(
                gate, gates[..., H:], is_gate=True, keeps="value" if self.update is _keep else "rest"
            ),
        }
        return found if isinstance(phi, Identity) else found | {"new": Nonlinearity(phi, n)}


class ResetAfterCell(_GruCell):
    """n = phi(U_n x + b_in + r * (W_n h + b_hn)): PyTorch, cuDNN, Keras with reset_after.

    Pre-activations stand in the order r, z, q = W_n h + b_hn, n, (B, 4H).
    """

    @cached_property
    def _drive(self) -> Drive:
        """The drive of r, z, q and n: nothing but the recurrent bias goes into q."""
        H, driven = self.hidden_size, self.driven
        U = driven.input_weights
        if U is not None:
            U = np.concatenate([U[: 2 * H], np.zeros((H, U.shape[1])), U[2 * H :]])
        biases = {name: _widened(b, name == "recurrent_bias", H) for name, b in driven.biases.items()}
        return Drive(U, biases)

    @cached_property
    def recurrence(self) -> LinearMap:
        """W as a map."""
        return LinearMap(self.weights)

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | DriveByStep | None:
        return self._drive.by_steps(inputs, (steps, batch, 4 * self.hidden_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        """The record (B, 5H) is what `ResetAfterLinearisation` describes."""
        H = self.hidden_size
        a = self.recurrence.forward(state)
        if drive is not None:
            a += drive[:, : 3 * H]
        gates = evaluated(self.gate_activation, a[:, : 2 * H])
        r, q = gates.value[:, :H], a[:, 2 * H :]
        pushed = r * q
        if drive is not None:
            pushed += drive[:, 3 * H :]
        n = evaluated(self.activation_of_cell, pushed)
        z = gates[slice(H, None)]
        new, old, by_z = self.update(z, state, n.value)
        record = np.empty((len(state), 5, H))
        into_n = np.multiply(new, n.slope, out=record[:, 3])
        np.multiply(into_n, r, out=record[:, 2])
        np.multiply(into_n, q, out=record[:, 0])
        record[:, 0] *= gates.slope[:, :H]
        np.multiply(by_z, z.slope, out=record[:, 1])
        record[:, 4] = old
        following = new * n.value
        following += old * state
        return following, record.reshape(len(state), -1)

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> Linearisation:
        return ResetAfterLinearisation(self, _records(preactivations, self.hidden_size))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        H, h = self.hidden_size, np.asarray(states)[:-1]
        a = Drive().preactivations(self.weights, h, None)
        pushed = self._drive.values(inputs)
        if pushed is not None:
            a += pushed[..., : 3 * H]
        n = self.gate_activation.value(a[..., :H]) * a[..., 2 * H :]
        if pushed is not None:
            n += pushed[..., 3 * H :]
        return self._nonlinearities(a[..., : 2 * H], n)


class ResetBeforeCell(_GruCell):
    """n = phi(U_n x + b + W_n (r * h)): Cho et al. (2014), Keras without reset_after, ONNX's default."""

    @cached_property
    def gates_recurrence(self) -> LinearMap:
        """W_r above W_z as a map."""
        return LinearMap(self.weights[: 2 * self.hidden_size])

    @cached_property
    def new_recurrence(self) -> LinearMap:
        """W_n as a map."""
        return LinearMap(self.weights[2 * self.hidden_size :])

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | DriveByStep | None:
        return self.driven.by_steps(inputs, (steps, batch, 3 * self.hidden_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        """The record (B, 5H) is what `ResetBeforeLinearisation` describes."""
        H = self.hidden_size
        a = self.gates_recurrence.forward(state)
        if drive is not None:
            a += drive[:, : 2 * H]
        gates = evaluated(self.gate_activation, a)
        record = np.empty((len(state), 5, H))
        r = record[:, 3] = gates.value[:, :H]
        pushed = self.new_recurrence.forward(r * state)
        if drive is not None:
            pushed += drive[:, 2 * H :]
        n = evaluated(self.activation_of_cell, pushed)
        z = gates[slice(H, None)]
        new, old, by_z = self.update(z, state, n.value)
        np.multiply(state, gates.slope[:, :H], out=record[:, 0])
        np.multiply(by_z, z.slope, out=record[:, 1])
        np.multiply(new, n.slope, out=record[:, 2])
        record[:, 4] = old
        following = new * n.value
        following += old * state
        return following, record.reshape(len(state), -1)

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> Linearisation:
        return ResetBeforeLinearisation(self, _records(preactivations, self.hidden_size))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        H, h = self.hidden_size, np.asarray(states)[:-1]
        gates = Drive().preactivations(self.weights[: 2 * H], h, None)
        pushed = self.driven.values(inputs)
        if pushed is not None:
            gates += pushed[..., : 2 * H]
        inside = self.gate_activation.value(gates[..., :H]) * h
        n = Drive().preactivations(self.weights[2 * H :], inside, None)
        if pushed is not None:
            n += pushed[..., 2 * H :]
        return self._nonlinearities(gates, n)


RESETS: Mapping[str, type[ResetAfterCell | ResetBeforeCell]] = {
    "after": ResetAfterCell,
    "before": ResetBeforeCell,
}
"""Name in a request -> the cell whose reset gate stands there."""


def build_gru(
    *,
    weights: Array,
    activation: str = "tanh",
    gate_activation: str = "sigmoid",
    reset: str = "after",
    update: str = "keep",
    input_weights: Array | None = None,
    bias: Array | None = None,
    input_bias: Array | None = None,
    recurrent_bias: Array | None = None,
    **activation_parameters: float | None,
) -> ResetAfterCell | ResetBeforeCell:
    """Build from a request's fields; activation parameters belong to `activation`."""
    driven = Drive.of(
        input_weights, len(weights), bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias
    )
    phi = make_activation(activation, activation_parameters)
    return RESETS[reset](weights, phi, make_activation(gate_activation, {}), UPDATES[update], driven)


@dataclass(frozen=True, eq=False)
class ResetAfterLinearisation:
    """dh' = (C_r W_r + C_z W_z + C_q W_n + u) dh, from a record (T, B, 5, H) of C_r, C_z, C_q, C_n and u.

    With v the weight of n in h' and u that of h: C_n = v phi'(a_n), C_q = C_n r, C_r = C_n q sigma'(a_r), and C_z is
    (h - n) sigma'(a_z) or its negative. A delta (B, 4H) is the gradient of r, z, q and n before their activations.
    """

    cell: ResetAfterCell
    record: Array

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        delta = self._delta(step, gradient)
        before = self.cell.recurrence.back(delta[..., : len(self.cell.weights)])
        before += self.record[step, :, 4] * gradient
        return before, delta

    def _delta(self, step: int, gradient: Array) -> Array:
        blocks = self.record[step, :, :4] * gradient[..., None, :]
        return blocks.reshape(*gradient.shape[:-1], -1)

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        steps = len(self.record)
        found = [self._delta(steps - 1 - lag, gradient) for lag, gradient in enumerate(gradients[:steps])]
        return found or np.zeros((0, self.record.shape[1], 4 * self.cell.hidden_size))  # type: ignore[return-value]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        H = self.cell.hidden_size
        inside = deltas[..., : 3 * H]
        outside = np.concatenate([deltas[..., : 2 * H], deltas[..., 3 * H :]], axis=-1)
        terms = {
            "weights": OuterSum(inside, states[:-1]),
            **self.cell.driven.parameter_terms(outside, inputs),
        }
        if "recurrent_bias" in terms:
            terms["recurrent_bias"] = OuterSum(inside, None)
        return terms

    def factors(self) -> Factors:
        return ResetAfterFactors(self.cell.weights, self.record)


@dataclass(frozen=True, eq=False)
class ResetBeforeLinearisation:
    """dh' = (C_n W_n (r + D_r W_r) + C_z W_z + u) dh, from a record (T, B, 5, H) of D_r, C_z, C_n, r and u.

    As after the product, but D_r = h sigma'(a_r) stands inside W_n. A delta (B, 3H) is the gradient of r, z and n.
    """

    cell: ResetBeforeCell
    record: Array

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        delta, inside = self._delta(step, gradient)
        record, H = self.record[step], self.cell.hidden_size
        before = self.cell.gates_recurrence.back(delta[..., : 2 * H])
        before += inside * record[:, 3]
        before += record[:, 4] * gradient
        return before, delta

    def _delta(self, step: int, gradient: Array) -> tuple[Array, Array]:
        """The delta, and the gradient of r * h."""
        record, H = self.record[step], self.cell.hidden_size
        blocks = np.empty((*gradient.shape[:-1], len(GATES), H))
        np.multiply(record[:, 1:3], gradient[..., None, :], out=blocks[..., 1:, :])
        inside = self.cell.new_recurrence.back(blocks[..., 2, :])
        np.multiply(record[:, 0], inside, out=blocks[..., 0, :])
        return blocks.reshape(*gradient.shape[:-1], -1), inside

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        steps = len(self.record)
        found = [self._delta(steps - 1 - lag, gradient)[0] for lag, gradient in enumerate(gradients[:steps])]
        return found or np.zeros((0, self.record.shape[1], len(self.cell.weights)))  # type: ignore[return-value]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        H, h = self.cell.hidden_size, states[:-1]
        new = OuterSum(deltas[..., 2 * H :], self.record[:, :, 3] * h)
        return {
            "weights": OuterSum(deltas[..., : 2 * H], h, below=new),
            **self.cell.driven.parameter_terms(deltas, inputs),
        }

    def factors(self) -> Factors:
        return ResetBeforeFactors(self.cell.weights, self.record)


def _records(records: Sequence[Array], size: int) -> Array:
    stacked = np.asarray(records)
    return stacked.reshape(*stacked.shape[:2], 5, size)


def _widened(bias: Array, is_recurrent: bool, size: int) -> Array:
    """A bias (3H,) of r, z and n as one of r, z, q and n."""
    nothing = np.zeros(size)
    last = [bias[2 * size :], nothing] if is_recurrent else [nothing, bias[2 * size :]]
    return np.concatenate([bias[: 2 * size], *last])
