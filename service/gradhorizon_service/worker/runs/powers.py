"""The undriven linear recurrence: everything by powers of one matrix, at any depth.

s_t = M^t s_0 and dL/ds_{T-k} = (M^T)^k g, with M = W for a plain recurrence. No step is taken one by one, so that a
depth of 1e6 costs some twenty squarings; states and gradients live in logarithms and cannot leave float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..cells import LinearStep, Nonlinearity
from ..horizon import LN10, Crossing, crossing_of, median_change, median_log_norms
from ..outcome import outcome_of
from ..parameter_gradients import ScaledArray
from ..problem import Problem
from ..products.coordinates import power_coordinates
from ..products.first_crossing import first_crossing, first_passages
from ..products.levels import Passages, passages_of
from ..products.lyapunov import LyapunovSpectrum, exponents_of_repeated
from ..products.power_norms import log_norm_series, log_norms_and_directions_at, log_norms_at
from ..products.power_peaks import PeakNorm, peak_norm
from ..products.power_singular_values import singular_values_of_repeated
from ..products.powers import power_sum
from ..products.shallow_powers import ShallowPowers, is_shallow
from ..products.singular_values import LogSingularValues
from ..products.transport_norms import TransportPeak, transport_of_power
from ..statistics import log_norms
from ._run import Shares
from ._shares import shares_of, shares_of_samples

_DIGITS = 16.0
_FEW_DIGITS = 8.0
_FEW_STEPS = 4096
_ALL_LAGS = 1024
"""Up to this depth the share of every single lag is computed; beyond, of a grid of as many points."""


class PowersRun:
    """A linear cell without drive, with a loss whose gradient does not depend on the state."""

    activation = None

    def __init__(self, problem: Problem, cell: LinearStep) -> None:
        self.problem = problem
        self.cell: LinearStep = cell
        self.step_matrix = cell.linear_part
        self.depth = problem.depth
        self.outcome = outcome_of(problem.depth, problem.depth)
        self.warnings: list[str] = []
        self._crossings: dict[tuple[float, int | None], Crossing] = {}
        self._head: Array = np.zeros(0)
        letter = "W" if cell.linear_part is cell.matrix else "the step's matrix"
        self.algorithms: dict[str, str] = {"gradients": f"powers of {letter} by squaring, log-scaled"}

    @property
    def matrix(self) -> Array | BlockDiagonal | None:
        return self.cell.matrix

    @property
    def parts(self) -> Mapping[str, slice] | None:
        return self.cell.parts

    @cached_property
    def initial_state(self) -> Array:
        initial = self.problem.initial_state
        size = self.cell.state_size
        return (
            np.zeros((self.problem.batch, size))
            if initial is None
            else initial.build(self.problem.batch, size, self.cell.matrix)
        )

    @cached_property
    def _start(self) -> tuple[Array, Array]:
        """ln norm and direction of the state after the burn-in."""
        return _moved(self.step_matrix, self.problem.burn_in, self.initial_state)

    @cached_property
    def cotangent(self) -> Array:
        outputs = self.cell.output_size
        gradient = self.problem.loss.gradient(self.initial_state[:, :outputs], self.depth).outputs
        return np.pad(gradient, ((0, 0), (0, self.cell.state_size - outputs)))

    @cached_property
    def is_resolved(self) -> bool:
        """Whether squaring kept every entry that matters: a transient of a Jordan block may span more than float64."""
        if self._shallow_log_norms is not None:
            return True
        coordinates = power_coordinates(self.step_matrix, self.depth)
        coordinates.ladder.power(self.depth)
        return coordinates.ladder.is_resolved

    def state_log_norms(self, steps: Array) -> Array:
        log_norm, direction = self._start
        found = None if self._shallow is None else self._shallow.transposed().log_norms(direction)
        return log_norm + (
            log_norms_at(self.step_matrix, direction, steps) if found is None else found[steps]
        )

    def final_state(self) -> Array | None:
        log_norm, direction = self._start
        growth, final = _moved(self.step_matrix, self.depth, direction)
        with np.errstate(over="ignore", invalid="ignore"):
            state = final * np.exp(np.where(np.isneginf(growth), 0.0, log_norm + growth))[:, None]
        return state if np.isfinite(state).all() else None

    def final_direction(self) -> Array:
        return _moved(self.step_matrix, self.depth, self._start[1])[1]

    def gradient_log_norms(self, lags: Array, part: slice | None = None) -> Array:
        if part is None:
            return self.transported_log_norms(lags)
        norms, directions = log_norms_and_directions_at(self.step_matrix.T, self.cotangent, lags)
        return norms + log_norms(directions[:, :, part])

    @cached_property
    def _shallow(self) -> ShallowPowers | None:
        """All powers at once, where they are few and small."""
        if not is_shallow(len(self.step_matrix), self.depth):
            return None
        return ShallowPowers.of(self.step_matrix.T, self.depth)

    @cached_property
    def _shallow_log_norms(self) -> Array | None:
        """ln ||dL/dh_{T-k}|| at every lag, (T + 1, B), likewise."""
        return None if self._shallow is None else self._shallow.log_norms(self.cotangent)

    @cached_property
    def _shallow_changes(self) -> Array | None:
        """The median change of the gradient at every lag, likewise."""
        return None if self._shallow_log_norms is None else median_change(self._shallow_log_norms)

    def transported_log_norms(self, lags: Array, clipped: bool = False) -> Array:
        if self._shallow_log_norms is not None:
            return np.asarray(self._shallow_log_norms[lags])
        return log_norms_at(self.step_matrix.T, self.cotangent, lags)

    def crossing(self, nats: float, within: int | None = None, clipped: bool = False) -> Crossing:
        if (nats, within) not in self._crossings:
            self._crossings[nats, within] = self._crossing(nats, within or self.depth)
        return self._crossings[nats, within]

    def _crossing(self, nats: float, depth: int) -> Crossing:
        if self._shallow_changes is not None:
            return crossing_of(self._shallow_changes, nats)
        if depth <= _FEW_STEPS:
            return crossing_of(self._first_changes(depth), nats)
        alive = np.abs(self.cotangent).max(axis=1) > 0
        if not alive.any():
            return Crossing(None, None)
        found = first_crossing(self.step_matrix.T, self.cotangent[alive], depth, nats)
        if not found.certain:
            self.warnings.append(
                "horizon: a crossing between the lags that were looked at cannot be excluded"
            )
        return Crossing(found.decay_step, found.growth_step)

    def passages(self, below: Sequence[float], above: Sequence[float]) -> Passages:
        alive = np.abs(self.cotangent).max(axis=1) > 0
        if not alive.any():
            return passages_of(np.array([-np.inf]), below, above)
        if self._shallow_log_norms is not None:
            return passages_of(median_log_norms(self._shallow_log_norms), below, above)
        return first_passages(self.step_matrix.T, self.cotangent[alive], self.depth, below, above)

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        return {}

    def slope_growth(self) -> None:
        return None

    def _first_changes(self, steps: int) -> Array:
        """The median change of the gradient at the first lags, computed one by one, (steps + 1,)."""
        if len(self._head) <= steps:
            self._head = median_change(log_norm_series(self.step_matrix.T, self.cotangent, steps))
        return self._head[: steps + 1]

    def parameter_gradients(self, clipped: bool = False) -> Mapping[str, ScaledArray]:
        gradient = self._matrix_gradient
        by_name = self.cell.parameters_from(gradient.array)
        return {name: ScaledArray.of(array, gradient.log_scale) for name, array in by_name.items()}

    @cached_property
    def _matrix_gradient(self) -> ScaledArray:
        """dL/dM = sum over k of (M^T)^k (sum_b g_b s_b^T) (M^T)^(T-1-k)."""
        log_norm, direction = self._start
        peak = float(np.max(log_norm, initial=-np.inf))
        if peak == -np.inf:
            return ScaledArray.of(np.zeros_like(self.step_matrix))
        outer = self.cotangent.T @ (direction * np.exp(log_norm - peak)[:, None])
        summed = power_sum(self.step_matrix.T, outer, self.step_matrix.T, self.depth)
        digits = _DIGITS - min(summed.cancellation / LN10, _DIGITS)
        if digits < _FEW_DIGITS:
            self.warnings.append(
                "parameter_gradient: the terms of the sum over lags cancel almost completely; about "
                f"{int(digits)} digits of the gradient of weights are reliable"
            )
        return ScaledArray.of(summed.value.matrix, summed.value.log_scale + peak)

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        if not self.problem.network.kind.is_trained:
            return None
        sampled, log_norms = self._sampled_parts
        if len(sampled) == self.depth:
            return shares_of(log_norms, lags)
        reported = lags[lags < self.depth]
        return shares_of_samples(log_norms, sampled, reported, self._log_parts(reported))

    @cached_property
    def _sampled_parts(self) -> tuple[Array, Array]:
        """Lags, all of them or a grid, and ln ||G_k|| there."""
        sampled = np.arange(self.depth) if self.depth <= _ALL_LAGS else _sample(self.depth)
        return sampled, self._log_parts(sampled)

    def _log_parts(self, lags: Array) -> Array:
        """ln ||G_k||, (L,), at some lags below the depth, of what W acts on: h, which comes first in the state."""
        g_norms, g = log_norms_and_directions_at(self.step_matrix.T, self.cotangent, lags)
        start, direction = self._start
        h_norms, h = log_norms_and_directions_at(self.step_matrix, direction, self.depth - 1 - lags)
        N = self.cell.output_size
        with np.errstate(divide="ignore"):
            gain = float(np.log(np.abs(self.cell.gain)))
        return gain + _gram_log_norms(g_norms, g[..., :N], start + h_norms, h[..., :N])

    @cached_property
    def _singular_values(self) -> LogSingularValues:
        return singular_values_of_repeated(self.step_matrix, self.depth)

    def singular_values(self) -> LogSingularValues:
        return self._singular_values

    @cached_property
    def peak(self) -> PeakNorm:
        """Largest norm of W^k up to the depth."""
        return peak_norm(self.step_matrix, self.depth) if self._shallow is None else self._shallow.peak

    @cached_property
    def transport_peak(self) -> TransportPeak:
        if self._shallow is not None:
            return self._shallow.transport_peak
        return transport_of_power(self.step_matrix, self.depth, self.peak)

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        return exponents_of_repeated(self.step_matrix, leading)


def _moved(matrix: Array, steps: int, vectors: Array) -> tuple[Array, Array]:
    """ln norms (B,) and directions (B, N) of W^steps v."""
    log_norms, directions = log_norms_and_directions_at(matrix, vectors, np.array([steps]))
    return log_norms[0], directions[0]


def _sample(depth: int) -> Array:
    """Lags dense at both ends, where either the gradient or the state is still in its transient.

    Between them one at random from each of equally long stretches: equal distances would fall in with a rotation.
    """
    quarter = _ALL_LAGS // 4
    near = np.arange(quarter)
    edges = np.linspace(quarter, depth - quarter, 2 * quarter + 1)
    middle = edges[:-1] + np.random.default_rng(0).random(2 * quarter) * np.diff(edges)
    return np.unique(np.concatenate([near, middle.astype(np.int64), depth - 1 - near]))


def _gram_log_norms(g_norms: Array, g: Array, h_norms: Array, h: Array) -> Array:
    """ln ||sum_b g_b h_b^T||_F by lag from directions and log norms, (L,)."""
    weights = g_norms + h_norms
    peaks = np.max(weights, axis=1)
    safe = np.where(np.isneginf(peaks), 0.0, peaks)
    scaled = g * np.exp(weights - safe[:, None])[:, :, None]
    if g.shape[1] == 1:
        squares = np.einsum("lbi,lbi->l", scaled, scaled) * np.einsum("lbi,lbi->l", h, h)
    else:
        squares = ((scaled @ scaled.swapaxes(1, 2)) * (h @ h.swapaxes(1, 2))).sum(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return np.asarray(safe + 0.5 * np.log(np.maximum(squares, 0.0)))
