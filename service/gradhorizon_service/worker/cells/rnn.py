"""The plain recurrent cell h' = phi(W h + U x + b), PyTorch's nn.RNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..linear_map import LinearMap
from ..products.factors import Factors, Repeated, RowScaled
from ..slopes import slopes_along
from ._activated import make_activation
from ._cell import Nonlinearity, OuterSum
from ._driven import Drive


@dataclass(frozen=True, eq=False)
class RnnCell:
    """weights (N, N), the drive, and an activation; J_t = diag(phi'(a_t)) W with a_t = W h + U x + b."""

    weights: Array
    activation: Activation
    driven: Drive

    recurrent: ClassVar[bool] = True
    parts: ClassVar[None] = None
    splits: ClassVar[bool] = True
    gain: ClassVar[float] = 1.0

    @classmethod
    def build(
        cls,
        *,
        weights: Array,
        activation: str = "tanh",
        input_weights: Array | None = None,
        bias: Array | None = None,
        input_bias: Array | None = None,
        recurrent_bias: Array | None = None,
        **activation_parameters: float | None,
    ) -> RnnCell:
        """Build from a request's fields; unset activation parameters (None) take PyTorch's defaults."""
        driven = Drive.of(
            input_weights, len(weights), bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias
        )
        return cls(weights, make_activation(activation, activation_parameters), driven)

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
    def linear_part(self) -> Array:
        return self.weights

    def parameters_from(self, gradient: Array) -> Mapping[str, Array]:
        return {"weights": gradient}

    @cached_property
    def recurrence(self) -> LinearMap:
        """W as a map."""
        return LinearMap(self.weights)

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        values, shape = self.driven.values(inputs), (steps, batch, self.state_size)
        return values if values is None or values.shape == shape else np.broadcast_to(values, shape)

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        preactivation = self.recurrence.forward(state)
        if drive is not None:
            preactivation += drive
        return self.activation.value(preactivation), preactivation

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> RnnLinearisation:
        if self.homogeneous:
            return RnnLinearisation(self, None, len(preactivations))
        slopes = slopes_along(self.activation, np.asarray(preactivations), np.asarray(states)[1:])
        return RnnLinearisation(self, slopes, len(preactivations))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        if self.homogeneous:
            return {}
        preactivations = self.driven.preactivations(self.weights, np.asarray(states)[:-1], inputs)
        return {"h": Nonlinearity(self.activation, preactivations)}


@dataclass(frozen=True, eq=False)
class RnnLinearisation:
    """slopes (T, B, N) = phi'(a_t); None for the identity, whose slope is one."""

    cell: RnnCell
    slopes: Array | None
    steps: int

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        delta = gradient if self.slopes is None else gradient * self.slopes[step]
        return self.cell.recurrence.back(delta), delta

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        deltas = np.asarray(gradients)[:-1]
        return deltas if self.slopes is None else deltas * self.slopes[::-1]  # type: ignore[return-value]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        recurrent = {"weights": OuterSum(deltas, states[:-1], right_is_state=True)}
        return {**recurrent, **self.cell.driven.parameter_terms(deltas, inputs)}

    def factors(self) -> Factors:
        if self.slopes is None:
            return Repeated(self.cell.weights, self.steps)
        return RowScaled(self.cell.weights, self.slopes)
