"""Skip connections over time: h_{t-d} enters h_t beside h_{t-1}, and gradients take the shorter way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..linear_map import LinearMap
from ..matrix_analysis import PascanuConditions, delayed_conditions, spectral_norm
from ..products.companion import Companion
from ..products.factors import Factors, Repeated
from ._activated import make_activation
from ._cell import Nonlinearity, OuterSum
from ._driven import Drive


@dataclass(frozen=True, eq=False)
class SkipCell:
    """State (h_t, h_{t-1}, .., h_{t-d+1}), d N entries, d >= 2.

    inside: h_t = phi(W h_{t-1} + V h_{t-d} + U x_t + b); otherwise h_t = phi(W h_{t-1} + U x_t + b) + V h_{t-d}.
    """

    weights: Array
    skip_weights: Array
    delay: int
    inside: bool
    activation: Activation
    driven: Drive

    recurrent: ClassVar[bool] = True
    splits: ClassVar[bool] = False
    gain: ClassVar[float] = 1.0

    @classmethod
    def build(
        cls,
        *,
        weights: Array,
        skip_weights: Array,
        delay: int,
        combine: str = "inside",
        activation: str = "tanh",
        input_weights: Array | None = None,
        bias: Array | None = None,
        input_bias: Array | None = None,
        recurrent_bias: Array | None = None,
        **activation_parameters: float | None,
    ) -> SkipCell:
        """Build from a request's fields; unset activation parameters (None) take PyTorch's defaults."""
        driven = Drive.of(
            input_weights, len(weights), bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias
        )
        phi = make_activation(activation, activation_parameters)
        return cls(weights, skip_weights, delay, combine == "inside", phi, driven)

    @property
    def matrix(self) -> Array:
        return self.weights

    @property
    def parts(self) -> Mapping[str, slice]:
        """h_t: its gradient is the total derivative, since h_t meets every later step from this place on."""
        return {"h": slice(0, self.output_size)}

    @property
    def state_size(self) -> int:
        return self.delay * len(self.weights)

    @property
    def output_size(self) -> int:
        return len(self.weights)

    @property
    def homogeneous(self) -> bool:
        return isinstance(self.activation, Identity)

    @cached_property
    def linear_part(self) -> Array:
        """[[W, 0, .., V], [I, 0, .., 0], ..], the Jacobian of every step where phi is the identity."""
        ones = np.ones((1, 1, self.output_size))
        chain = Companion(self.weights, self.skip_weights, ones, self.delay, self.inside)
        return np.asarray(chain.dense(0)[0])

    def parameters_from(self, gradient: Array) -> Mapping[str, Array]:
        N = self.output_size
        return {"weights": gradient[:N, :N], "skip_weights": gradient[:N, -N:]}

    @cached_property
    def recurrence(self) -> LinearMap:
        """W as a map."""
        return LinearMap(self.weights)

    @cached_property
    def delayed_recurrence(self) -> LinearMap:
        """V as a map."""
        return LinearMap(self.skip_weights)

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        values = self.driven.values(inputs)
        return None if values is None else np.broadcast_to(values, (steps, batch, self.output_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        N = self.output_size
        preactivation = self.recurrence.forward(state[:, :N])
        delayed = self.delayed_recurrence.forward(state[:, -N:])
        if self.inside:
            preactivation += delayed
        if drive is not None:
            preactivation += drive
        h = self.activation.value(preactivation)
        if not self.inside:
            h += delayed
        return np.concatenate([h, state[:, :-N]], axis=1), preactivation

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> SkipLinearisation:
        slopes = None if self.homogeneous else self.activation.slope(np.asarray(preactivations))
        return SkipLinearisation(self, slopes, len(preactivations))

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        if self.homogeneous:
            return {}
        N, before = self.output_size, np.asarray(states)[:-1]
        preactivations = self.driven.preactivations(self.weights, before[..., :N], inputs)
        if self.inside:
            preactivations += before[..., -N:] @ self.skip_weights.T
        return {"h": Nonlinearity(self.activation, preactivations)}

    def conditions(self, norm: float, radius: float | None) -> PascanuConditions:
        """What the norms of W and V prove; `radius` is that of the step's matrix where phi is the identity."""
        gamma = self.activation.largest_slope
        skipped = spectral_norm(self.skip_weights) * (gamma if self.inside else 1.0)
        return delayed_conditions(gamma * norm, skipped, gamma, self.delay, radius)


@dataclass(frozen=True, eq=False)
class SkipLinearisation:
    """slopes (T, B, N) = phi'(a_t); None for the identity.

    A delta is the gradient of the pre-activation; beside it, where V acts outside phi, that of h_t.
    """

    cell: SkipCell
    slopes: Array | None
    steps: int

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        N = self.cell.output_size
        delta = self._delta(gradient, None if self.slopes is None else self.slopes[step])
        before = np.zeros_like(gradient)
        before[..., :-N] = gradient[..., N:]
        before[..., :N] += self.cell.recurrence.back(delta[..., :N])
        before[..., -N:] += self.cell.delayed_recurrence.back(delta[..., -N:])
        return before, delta

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        slopes = None if self.slopes is None else self.slopes[::-1]
        return self._delta(np.asarray(gradients)[:-1], slopes)  # type: ignore[return-value]

    def _delta(self, gradient: Array, slopes: Array | None) -> Array:
        of_state = gradient[..., : self.cell.output_size]
        if slopes is None:
            return of_state
        delta = of_state * slopes
        return delta if self.cell.inside else np.concatenate([delta, of_state], axis=-1)

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        N, before = self.cell.output_size, states[:-1]
        return {
            "weights": OuterSum(deltas[..., :N], before[..., :N], right_is_state=True),
            "skip_weights": OuterSum(deltas[..., -N:], before[..., -N:], right_is_state=True),
            **self.cell.driven.parameter_terms(deltas[..., :N], inputs),
        }

    def factors(self) -> Factors:
        cell = self.cell
        if self.slopes is None:
            return Repeated(cell.linear_part, self.steps)
        return Companion(cell.weights, cell.skip_weights, self.slopes, cell.delay, cell.inside)
