"""A deep feed-forward network h' = phi(W_t h + b_t): unshared weights; the plain RNN is its shared counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..products.factors import Factors
from ._activated import make_activation
from ._cell import Nonlinearity, OuterSum


@dataclass(frozen=True, eq=False)
class FeedforwardCell:
    """layers: T matrices (N_t, N_{t-1}); biases: T vectors or None; with `residual`, h is added where sizes agree."""

    layers: Sequence[Array]
    activation: Activation
    biases: Sequence[Array] | None
    residual: bool

    recurrent: ClassVar[bool] = False
    matrix: ClassVar[None] = None
    parts: ClassVar[None] = None

    @classmethod
    def build(
        cls,
        *,
        layers: Sequence[Array],
        activation: str = "identity",
        biases: Sequence[Array] | None = None,
        residual: bool = False,
        **activation_parameters: float | None,
    ) -> FeedforwardCell:
        """Build from a request's fields; a single number fills the bias of its layer."""
        filled = None
        if biases is not None:
            filled = [np.broadcast_to(b, (len(W),)) for b, W in zip(biases, layers, strict=True)]
        return cls(layers, make_activation(activation, activation_parameters), filled, residual)

    @property
    def state_size(self) -> int:
        return int(self.layers[0].shape[1])

    @property
    def output_size(self) -> int:
        return len(self.layers[-1])

    @property
    def homogeneous(self) -> bool:
        return isinstance(self.activation, Identity) and self.biases is None

    @property
    def splits(self) -> bool:
        return not any(self.skips(step) for step in range(len(self.layers)))

    def skips(self, step: int) -> bool:
        """Whether h is added to the output of this layer."""
        rows, columns = self.layers[step].shape
        return self.residual and rows == columns

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        return None

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        preactivation = self._preactivation(step, state)
        value = self.activation.value(preactivation)
        return (value + state if self.skips(step) else value), preactivation

    def _preactivation(self, step: int, state: Array) -> Array:
        preactivation = state @ self.layers[step].T
        if self.biases is not None:
            preactivation += self.biases[step]
        return preactivation

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        if isinstance(self.activation, Identity):
            return {}
        preactivations = [self._preactivation(step, state) for step, state in enumerate(states[:-1])]
        return {"h": Nonlinearity(self.activation, preactivations)}

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> FeedforwardLinearisation:
        slopes = None
        if not isinstance(self.activation, Identity):
            slopes = [self.activation.slope(a) for a in preactivations]
        return FeedforwardLinearisation(self, slopes, len(preactivations))


@dataclass(frozen=True, eq=False)
class FeedforwardLinearisation:
    """J_t = diag(phi'(a_t)) W_t, plus the identity where a residual connection applies; slopes: T arrays (B, N_t)."""

    cell: FeedforwardCell
    slopes: Sequence[Array] | None
    steps: int

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        delta = gradient if self.slopes is None else gradient * self.slopes[step]
        before = delta @ self.cell.layers[step]
        return (before + gradient if self.cell.skips(step) else before), delta

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        if self.slopes is None:
            return gradients[:-1]
        return [g * slopes for g, slopes in zip(gradients, reversed(self.slopes), strict=False)]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        return {}

    def jacobians(self) -> list[Array]:
        """The step Jacobians, (N_t, N_{t-1}) where sequences share them, else (B, N_t, N_{t-1}).

        Where the first layer already diverged there are none, and the identity stands for their product.
        """
        if self.steps == 0:
            return [np.eye(self.cell.state_size)]
        return [self.jacobian(step) for step in range(self.steps)]

    def jacobian(self, step: int) -> Array:
        """One of them."""
        W = self.cell.layers[step]
        J = W if self.slopes is None else self.slopes[step][:, :, None] * W
        return J + np.eye(len(W)) if self.cell.skips(step) else J

    def factors(self) -> Factors | None:
        sizes = {self.cell.layers[0].shape[1], *(len(W) for W in self.cell.layers)}
        return LayerFactors(self) if len(sizes) == 1 else None


class LayerFactors:
    """Square layers as factors of a product."""

    def __init__(self, linearisation: FeedforwardLinearisation) -> None:
        self._linearisation = linearisation
        self.steps = linearisation.steps
        self.size = int(linearisation.cell.layers[0].shape[0])
        self.batch = 1 if linearisation.slopes is None else len(linearisation.slopes[0])

    def times(self, step: int, frames: Array) -> Array:
        cell, slopes = self._linearisation.cell, self._linearisation.slopes
        product = cell.layers[step] @ frames
        if slopes is not None:
            product *= slopes[step][:, :, None]
        return product + frames if cell.skips(step) else product

    def transpose_times(self, step: int, frames: Array) -> Array:
        cell, slopes = self._linearisation.cell, self._linearisation.slopes
        scaled = frames if slopes is None else frames * slopes[step][:, :, None]
        product = cell.layers[step].T @ scaled
        return product + frames if cell.skips(step) else product

    def dense(self, step: int) -> Array:
        J = self._linearisation.jacobian(step)
        return np.array(np.broadcast_to(J, (self.batch, self.size, self.size)))
