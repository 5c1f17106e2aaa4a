"""What diagnostics read: one finished run, whichever way it was computed.

Magnitudes are natural logarithms by lag or step and sequence; a run computes each of them once, when first asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .._types import Array
from ..activations import Activation
from ..block_diagonal import BlockDiagonal
from ..cells import Cell, Nonlinearity
from ..horizon import Crossing
from ..outcome import Outcome
from ..parameter_gradients import ScaledArray
from ..problem import Problem
from ..products.levels import Passages
from ..products.lyapunov import LyapunovSpectrum
from ..products.singular_values import LogSingularValues
from ..products.transport_norms import TransportPeak


@dataclass(frozen=True, eq=False)
class Shares:
    """ln ||G_k||, the part of dL/dW from lag k, at `lag`, and the logarithm of their sum over all lags.

    `cumulative_95` is the smallest number of lags, counted from lag 0, that holds 95 % of the sum.
    """

    lag: Array
    log_norm: Array
    log_sum: float
    cumulative_95: int | None
    is_exact: bool


class Run(Protocol):
    """A diagnosis under way."""

    problem: Problem
    outcome: Outcome
    warnings: list[str]
    algorithms: dict[str, str]

    @property
    def cell(self) -> Cell:
        """The network."""
        ...

    @property
    def depth(self) -> int:
        """Steps completed."""
        ...

    @property
    def matrix(self) -> Array | BlockDiagonal | None:
        """The recurrent matrix, where the cell has one."""
        ...

    @property
    def step_matrix(self) -> Array | None:
        """The Jacobian of every step, where they are all one dense matrix."""
        ...

    @property
    def activation(self) -> Activation | None:
        """The activation, where the cell has one that is not the identity."""
        ...

    @property
    def parts(self) -> Mapping[str, slice] | None:
        """Named parts of the state, where it holds more than h."""
        ...

    @property
    def initial_state(self) -> Array:
        """s_0, (B, N)."""
        ...

    @property
    def cotangent(self) -> Array:
        """Gradient of the last step's loss with respect to s_T, (B, N)."""
        ...

    def state_log_norms(self, steps: Array) -> Array:
        """ln ||s_t||, (len(steps), B)."""
        ...

    def final_state(self) -> Array | None:
        """s_T, (B, N); None where it is not a float64."""
        ...

    def final_direction(self) -> Array:
        """s_T up to a positive factor for each sequence, (B, N)."""
        ...

    def gradient_log_norms(self, lags: Array, part: slice | None = None) -> Array:
        """ln ||dL/ds_{T-k}|| of the loss as asked for (every step, truncated), (len(lags), B)."""
        ...

    def transported_log_norms(self, lags: Array, clipped: bool = False) -> Array:
        """The same for the last step's loss alone, reaching all the way back; `clipped` as in `crossing`."""
        ...

    def crossing(self, nats: float, within: int | None = None, clipped: bool = False) -> Crossing:
        """Where the median transported gradient changes by more than this, over all lags up to `within`.

        `clipped`: with every entry of the state gradient cut at every step, where the policy is per_step.
        """
        ...

    def passages(self, below: Sequence[float], above: Sequence[float]) -> Passages:
        """Where the median ln ||dL/ds_{T-k}|| of the last step's loss first lies below or above levels, over all lags.

        As in `crossing`, sequences whose gradient starts at exactly zero are left out.
        """
        ...

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        """What every elementwise nonlinearity of the cell was applied to, by name; none for a linear recurrence."""
        ...

    def slope_growth(self) -> Array | None:
        """ln ||D_t g|| - ln ||g|| of the transported gradient, D_t the slopes of step t: (T, B) by lag.

        None where J_t is not D_t W_t, so that a step does not split in two.
        """
        ...

    def parameter_gradients(self, clipped: bool = False) -> Mapping[str, ScaledArray]:
        """The gradient of every parameter, by its name in the request; `clipped` at every step where asked so."""
        ...

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        """Where the gradient of the recurrent matrix comes from; None without one."""
        ...

    def singular_values(self) -> LogSingularValues:
        """Of the whole transport."""
        ...

    @property
    def transport_peak(self) -> TransportPeak:
        """Norms of partial transports, and singular values of the whole one as far as one product resolves them."""
        ...

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        """Exponents along the run."""
        ...
