"""What every cell offers: parameters, one step, and the products of its Jacobian.

s_t = F(s_{t-1}, x_t). A cell advances a batch of states one step at a time and keeps the pre-activations; from the
whole trajectory it then builds a `Linearisation`, vectorised over time, that offers J_t^T g and the factors of the
transport. Slopes always come from the pre-activation, never from the saturated output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .._types import Array
from ..activations import Activation
from ..block_diagonal import BlockDiagonal
from ..matrix_analysis import PascanuConditions
from ..products.factors import Factors

if TYPE_CHECKING:
    from ._driven import DriveByStep


@dataclass(frozen=True, eq=False)
class OuterSum:
    """A parameter's gradient as a sum over steps and sequences of left (x) right; right None means left alone.

    left (T, B, P), right (T, B, Q) or None: the gradient is (P, Q) or (P,). `elementwise` parameters (the
    eigenvalues of a diagonal recurrence) take the entry-wise product instead of the outer one. `right_is_state` says
    that the right side scales with the state a step starts from, which may carry a scale of its own. `shape` is the
    parameter's, where it has other axes; `below` holds the rows that come below these with another right side.
    """

    left: Array
    right: Array | None
    elementwise: bool = False
    right_is_state: bool = False
    shape: tuple[int, ...] | None = None
    below: OuterSum | None = None


@dataclass(frozen=True, eq=False)
class Nonlinearity:
    """An activation and what it was applied to along a run: T arrays (B, P_t), one (T, B, P) where all have one size.

    `is_gate`: its values are shares of what passes, between 0 and 1. `keeps` says which part of them multiplies what is
    kept of the state, if any does: the value itself, or the rest, one minus it.
    """

    activation: Activation
    preactivations: Array | Sequence[Array]
    is_gate: bool = False
    keeps: Literal["value", "rest"] | None = None


class Linearisation(Protocol):
    """The step Jacobians along one trajectory; `step` counts from 0, the first applied first.

    A delta is what the parameters' gradients are made of: the gradient of the pre-activation, and for a cell whose
    parameters also act elsewhere (a projection) the gradient there beside it.
    """

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        """Return (J_t^T g, delta): gradients (..., B, S) of s_{t-1}, and of the pre-activation, (..., B, P)."""
        ...

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        """The deltas of a whole backward pass: from T + 1 gradients (B, S) by lag, T arrays (B, P) by lag."""
        ...

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        """The gradient of each shared parameter, by its name in the request.

        deltas (T, B, P) in the order of steps, states (T + 1, B, S), inputs (T, B, D).
        """
        ...

    def factors(self) -> Factors | None:
        """The step Jacobians as factors of a square product, J V and J^T V for frames V; None where sizes differ."""
        ...


class Cell(Protocol):
    """Parameters and one step."""

    @property
    def matrix(self) -> Array | BlockDiagonal | None:
        """The square recurrent matrix W, (N, N); None for a cell without one."""
        ...

    @property
    def activation(self) -> Activation | None:
        """The nonlinearity between W h and h'; None for a cell without one, or with several."""
        ...

    @property
    def parts(self) -> Mapping[str, slice] | None:
        """Named parts of the state, where it holds more than h."""
        ...

    @property
    def state_size(self) -> int:
        """Entries of s_0."""
        ...

    @property
    def output_size(self) -> int:
        """Entries of h, the leading part of the state, on which the loss acts, at the last step."""
        ...

    @property
    def homogeneous(self) -> bool:
        """Whether the undriven step is linear, so that states may carry a scale of their own."""
        ...

    @property
    def recurrent(self) -> bool:
        """Whether every step is the same, so that all states (and all pre-activations) have equal sizes."""
        ...

    @property
    def splits(self) -> bool:
        """Whether J_t = diag(phi'(a_t)) W_t at every step, with nothing that passes the activation by."""
        ...

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | DriveByStep | None:
        """What is added to the pre-activation at every step, broadcastable to (T, B, P); None for nothing.

        Only a homogeneous cell must hand over an array.
        """
        ...

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        """Return (s_t, pre-activation) from s_{t-1}, both (B, ...); steps of a burn-in count from -1 backwards.

        A cell of several gates may hand over the slopes that it took from their pre-activations instead.
        """
        ...

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> Linearisation:
        """Build the Jacobians of a finished trajectory: T + 1 states and T pre-activations."""
        ...

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        """What every nonlinearity saw, by its name; computed afresh from T + 1 states and the inputs (T, B, D).

        A run keeps slopes only, which is all that gradients need. The arrays are the caller's to overwrite; the
        identity is no nonlinearity.
        """
        ...


@runtime_checkable
class Bounded(Protocol):
    """A cell whose Jacobian is more than diag(phi') W, and which knows what the norm of W proves about it."""

    def conditions(self, spectral_norm: float, radius: float | None) -> PascanuConditions:
        """The statements that hold for its steps, given the norm of W.

        `radius` is the spectral radius of a step where all steps have one Jacobian, else None.
        """
        ...


@runtime_checkable
class LinearStep(Cell, Protocol):
    """A cell that moves its state by one matrix where phi is the identity and nothing drives it."""

    @property
    def linear_part(self) -> Array:
        """That matrix, (S, S)."""
        ...

    @property
    def gain(self) -> float:
        """What stands before W in it."""
        ...

    def parameters_from(self, gradient: Array) -> Mapping[str, Array]:
        """The gradient of every parameter, by its name in the request, from that of `linear_part`."""
        ...
