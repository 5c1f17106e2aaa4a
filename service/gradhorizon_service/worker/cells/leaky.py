"""Leaky units h' = (1 - a) h + a phi(W h + U x + b): part of the state is kept, and with it part of the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..linear_map import LinearMap
from ..matrix_analysis import PascanuConditions, kept_state_conditions
from ..products.factors import Factors, Repeated, RowScaled, Shifted
from ._activated import make_activation
from ._cell import Nonlinearity, OuterSum
from ._driven import Drive


@dataclass(frozen=True, eq=False)
class LeakyCell:
    """h' = r h + g phi(a) with a = W h + U x + b, so that J_t = r I + g diag(phi'(a_t)) W.

    A leak rate a means r = 1 - a and g = a.
    """

    weights: Array
    activation: Activation
    driven: Drive
    retention: float
    gain: float

    recurrent: ClassVar[bool] = True
    parts: ClassVar[None] = None

    @classmethod
    def build(
        cls,
        *,
        weights: Array,
        leak_rate: float,
        activation: str = "tanh",
        input_weights: Array | None = None,
        bias: Array | None = None,
        input_bias: Array | None = None,
        recurrent_bias: Array | None = None,
        **activation_parameters: float | None,
    ) -> LeakyCell:
        """Build from a request's fields; unset activation parameters (None) take PyTorch's defaults."""
        driven = Drive.of(
            input_weights, len(weights), bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias
        )
        phi = make_activation(activation, activation_parameters)
        return cls(weights, phi, driven, retention=1.0 - leak_rate, gain=leak_rate)

    @property
    def matrix(self) -> Array:
        return self.weights

    @property
    def state_size(self) -> int:
        return len(self.weights)

    @property
    def output_size(self) -> int:
        return len(self.weights)

    @property
    def homogeneous(self) -> bool:
        return isinstance(self.activation, Identity)

    @property
    def splits(self) -> bool:
        return self.retention == 0.0

    @cached_property
    def linear_part(self) -> Array:
        """r I + g W, the Jacobian of every step where phi is the identity."""
        return self.retention * np.eye(len(self.weights)) + self.gain * self.weights

    def parameters_from(self, gradient: Array) -> Mapping[str, Array]:
        return {"weights": self.gain * gradient}

    @cached_property
    def recurrence(self) -> LinearMap:
        """W as a map."""
        return LinearMap(self.weights)

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        values = self.driven.values(inputs)
        return None if values is None else np.broadcast_to(values, (steps, batch, self.state_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        preactivation = self.recurrence.forward(state)
        if drive is not None:
            preactivation += drive
        following = self.activation.value(preactivation)
        following *= self.gain
        following += self.retention * state
        return following, preactivation

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> LeakyLinearisation:
        scales = None if self.homogeneous else self.gain * self.activation.slope(np.asarray(preactivations))
        return LeakyLinearisation(self, scales, len(preactivations))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        if self.homogeneous:
            return {}
        preactivations = self.driven.preactivations(self.weights, np.asarray(states)[:-1], inputs)
        return {"h": Nonlinearity(self.activation, preactivations)}

    def conditions(self, spectral_norm: float, radius: float | None) -> PascanuConditions:
        """What the norm of W proves; `radius` is that of r I + g W where phi is the identity, else None."""
        gamma = self.activation.largest_slope
        return kept_state_conditions(spectral_norm, gamma, self.retention, self.gain, radius)


@dataclass(frozen=True, eq=False)
class LeakyLinearisation:
    """scales (T, B, N) = g phi'(a_t); None for the identity, where it is g."""

    cell: LeakyCell
    scales: Array | None
    steps: int

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        delta = gradient * (self.cell.gain if self.scales is None else self.scales[step])
        before = self.cell.recurrence.back(delta)
        before += self.cell.retention * gradient
        return before, delta

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        scales = self.cell.gain if self.scales is None else self.scales[::-1]
        return np.asarray(gradients)[:-1] * scales  # type: ignore[return-value]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        recurrent = {"weights": OuterSum(deltas, states[:-1], right_is_state=True)}
        return {**recurrent, **self.cell.driven.parameter_terms(deltas, inputs)}

    def factors(self) -> Factors:
        if self.scales is None:
            return Repeated(self.cell.linear_part, self.steps)
        if self.cell.retention == 0.0:
            return RowScaled(self.cell.weights, self.scales)
        return Shifted(self.cell.weights, self.scales, self.cell.retention)
