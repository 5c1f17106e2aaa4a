"""The undriven linear recurrence in its own eigenbasis: closed forms, O(N) a lag, no matrix anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from .._types import Array
from ..backprop import Backpropagated
from ..block_diagonal import BlockDiagonal
from ..cells import Nonlinearity
from ..cells.linear import DiagonalLinearCell
from ..horizon import Crossing
from ..mode_gradients import ModeGradient, summed_products
from ..outcome import outcome_of
from ..parameter_gradients import ScaledArray
from ..problem import Problem
from ..products.diagonal_norms import (
    diagonal_first_crossing,
    diagonal_first_passages,
    diagonal_log_norms_at,
)
from ..products.levels import Passages, passages_of
from ..products.lyapunov import LyapunovSpectrum, exact_spectrum
from ..products.singular_values import LogSingularValues, exactly
from ..products.transport_norms import TransportPeak
from ._run import Shares
from ._shares import equal_shares
from .stepped import SteppedRun


class DiagonalTransport:
    """Transport through a normal matrix: every number follows from the moduli of the eigenvalues."""

    matrix: BlockDiagonal
    step_matrix = None
    depth: int

    def singular_values(self) -> LogSingularValues:
        logs = _log_growth(self.matrix.eigenvalues, self.depth)
        return exactly(logs[None], "depth times ln |lambda| (normal matrix)")

    @property
    def transport_peak(self) -> TransportPeak:
        """A norm that grows does so to the end, and one that shrinks is largest at lag 0."""
        logs = self.singular_values().log_values
        growth = logs[:, 0]
        return TransportPeak(
            np.maximum(growth, 0.0), np.where(growth > 0, self.depth, 0), growth, logs, np.array([-np.inf])
        )

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        return exact_spectrum(np.sort(_log_growth(self.matrix.eigenvalues, 1))[::-1], leading)


class SteppedDiagonalRun(DiagonalTransport, SteppedRun):
    """A spectrum-only linear cell with a drive, or with a loss that needs every state: stepped mode by mode."""

    cell: DiagonalLinearCell

    def _cell_gradients(self, gradients: Backpropagated) -> dict[str, ScaledArray]:
        found = super()._cell_gradients(gradients)
        of_modes = ModeGradient.of(found.pop("weights"))
        return {**of_modes.by_parameter(self.cell), **found}


class DiagonalRun(DiagonalTransport):
    """A spectrum-only linear cell without drive, with a loss whose gradient does not depend on the state."""

    activation = None
    parts = None

    def __init__(self, problem: Problem, cell: DiagonalLinearCell) -> None:
        self.problem = problem
        self.cell = cell
        self.matrix = cell.blocks
        self.depth = problem.depth
        self.outcome = outcome_of(problem.depth, problem.depth)
        self.warnings: list[str] = []
        self.algorithms: dict[str, str] = {"gradients": "powers of the eigenvalues"}

    @cached_property
    def initial_state(self) -> Array:
        initial = self.problem.initial_state
        size = self.matrix.size
        if initial is None:
            return np.zeros((self.problem.batch, size))
        return initial.build(self.problem.batch, size, self.matrix)

    @cached_property
    def cotangent(self) -> Array:
        return self.problem.loss.gradient(self.initial_state, self.depth).outputs

    def _log_norms(self, vectors: Array, steps: Array) -> Array:
        return diagonal_log_norms_at(self.matrix.multipliers, np.abs(self.matrix.modes(vectors)), steps)

    def state_log_norms(self, steps: Array) -> Array:
        return self._log_norms(self.initial_state, steps + self.problem.burn_in)

    def final_state(self) -> Array | None:
        logs, phases = self._final_modes()
        with np.errstate(over="ignore", under="ignore"):
            sizes = np.exp(logs)
        return self.matrix.coordinates(sizes * np.exp(1j * phases)) if np.isfinite(sizes).all() else None

    def final_direction(self) -> Array:
        logs, phases = self._final_modes()
        peaks = np.max(logs, axis=1, keepdims=True)
        sizes = np.exp(logs - np.where(np.isneginf(peaks), 0.0, peaks))
        return self.matrix.coordinates(sizes * np.exp(1j * phases))

    def _final_modes(self) -> tuple[Array, Array]:
        """ln of the modulus and the phase of every mode of s_T, (B, m) each."""
        modes = self.matrix.modes(self.initial_state)
        steps = self.depth + self.problem.burn_in
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(modes)) + _log_growth(self.matrix.multipliers, steps)
        return logs, np.angle(modes) + _rotation(self.matrix.multipliers, steps)

    def gradient_log_norms(self, lags: Array, part: slice | None = None) -> Array:
        return self.transported_log_norms(lags)

    def transported_log_norms(self, lags: Array, clipped: bool = False) -> Array:
        return self._log_norms(self.cotangent, lags)

    def crossing(self, nats: float, within: int | None = None, clipped: bool = False) -> Crossing:
        moduli = np.abs(self.matrix.modes(self.cotangent))
        alive = moduli.max(axis=1) > 0
        if not alive.any():
            return Crossing(None, None)
        found = diagonal_first_crossing(self.matrix.multipliers, moduli[alive], within or self.depth, nats)
        return Crossing(found.decay_step, found.growth_step)

    def passages(self, below: Sequence[float], above: Sequence[float]) -> Passages:
        moduli = np.abs(self.matrix.modes(self.cotangent))
        alive = moduli.max(axis=1) > 0
        if not alive.any():
            return passages_of(np.array([-np.inf]), below, above)
        return diagonal_first_passages(self.matrix.multipliers, moduli[alive], self.depth, below, above)

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        return {}

    def slope_growth(self) -> None:
        return None

    @cached_property
    def _mode_gradient(self) -> ModeGradient:
        """d L / d lambda_i = T lambda_i^(T-1) g_i conj(h_i), summed over sequences."""
        g, h = self.matrix.modes(self.cotangent), self.matrix.modes(self.initial_state).conj()
        scales, products = summed_products(g, h)
        steps = self.depth - 1 + self.problem.burn_in
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(products)) + _log_growth(self.matrix.multipliers, steps) + np.log(self.depth)
        phases = np.angle(products) - _rotation(self.matrix.multipliers, steps)
        return ModeGradient(logs + scales, phases)

    def parameter_gradients(self, clipped: bool = False) -> Mapping[str, ScaledArray]:
        return self._mode_gradient.by_parameter(self.cell)

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        """Every lag contributes the same: g_k h_{T-1-k} = lambda^(T-1) g h whatever k."""
        return equal_shares(self._mode_gradient.log_norm, self.depth, lags)


def _log_growth(eigenvalues: Array, steps: int) -> Array:
    """ln |lambda|^steps, zero for no steps even where lambda is zero."""
    if not steps:
        return np.zeros(len(eigenvalues))
    with np.errstate(divide="ignore"):
        return np.asarray(steps * np.log(np.abs(_extended(eigenvalues))), dtype=np.float64)


def _rotation(eigenvalues: Array, steps: int) -> Array:
    """The angle of lambda^steps."""
    turn = 2 * np.arctan2(np.longdouble(0.0), np.longdouble(-1.0))
    return np.asarray(np.remainder(steps * np.angle(_extended(eigenvalues)), turn), dtype=np.float64)


def _extended(eigenvalues: Array) -> Array:
    """In extended precision where the machine has it: ten million steps cost a logarithm seven of its digits."""
    return eigenvalues.astype(np.clongdouble)
