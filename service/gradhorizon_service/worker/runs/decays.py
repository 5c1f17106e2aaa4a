"""The diagonal recurrence with decays of their own at every step.

Modes never mix, so that products are sums of logarithms: nothing overflows, and no matrix is formed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from .._types import Array
from ..backprop import Backpropagated
from ..cells import Nonlinearity, OuterSum
from ..cells.decays import DecaysCell
from ..horizon import Crossing, crossing_of, median_change, median_log_norms
from ..mode_gradients import summed_products
from ..outcome import outcome_of
from ..parameter_gradients import ScaledArray, each, log_norms_by_step
from ..problem import Problem
from ..products.levels import Passages, passages_of
from ..products.lyapunov import LyapunovSpectrum, uncoupled_exponents
from ..products.singular_values import LogSingularValues, exactly
from ..products.transport_norms import TransportPeak
from ..statistics import root_sum_of_squares
from ._run import Shares
from ._shares import shares_of
from .stepped import SteppedRun

_CHUNK = 1 << 20
"""Numbers in one temporary array."""


class DecaysTransport:
    """Transport through diag(a_T) .. diag(a_1), for P = 1 or B sequences with decays of their own."""

    cell: DecaysCell
    depth: int

    @cached_property
    def _decays(self) -> Array:
        """The decays of the steps completed, (T, P, N)."""
        return self.cell.decays[self.cell.burn_in :][: self.depth]

    @cached_property
    def _log_decays(self) -> Array:
        """ln |a_t|, (T, P, N)."""
        return _log(np.abs(self._decays))

    @cached_property
    def _log_backward(self) -> Array:
        """ln |a_T .. a_{T-k+1}| by lag k, (T + 1, P, N)."""
        return _log_products(self._log_decays[::-1])

    def singular_values(self) -> LogSingularValues:
        return exactly(self._log_decays.sum(axis=0), "sums of ln |decay|")

    @cached_property
    def transport_peak(self) -> TransportPeak:
        """The largest of all modes at every lag; lags that differ by rounding tie, and the first one wins."""
        largest = self._log_backward.max(axis=2)
        peak = largest.max(axis=0)
        tie = 4.0 * np.finfo(np.float64).eps * np.sqrt(self.depth) * np.maximum(1.0, peak)
        lag = np.argmax(largest >= peak - tie, axis=0)
        logs = self.singular_values().log_values
        at_lag = np.take_along_axis(largest, lag[None], axis=0)[0]
        return TransportPeak(at_lag, lag, logs[:, 0], logs, np.full(len(logs), -np.inf))

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        return uncoupled_exponents(self._log_decays, leading, "means of ln |decay|")


class SteppedDecaysRun(DecaysTransport, SteppedRun):
    """With a drive, or with a loss that needs every state: stepped."""

    cell: DecaysCell

    def _cell_gradients(self, gradients: Backpropagated) -> dict[str, ScaledArray]:
        """The decays have a gradient of their own at every step: delta_t h_{t-1}."""
        term, log_weights = self._decay_term(gradients)
        terms = each(term, log_weights)
        found = ScaledArray.of(_over_batch(self.cell, terms.array), terms.log_scale)
        return {"decays": found, **super()._cell_gradients(gradients)}

    def _decay_term(self, gradients: Backpropagated) -> tuple[OuterSum, Array]:
        """delta_t and h_{t-1} by step, (T, B, N) each, and the logarithm of what multiplies their product."""
        deltas = np.asarray(gradients.deltas)[::-1]
        term = OuterSum(
            deltas, np.asarray(self.trajectory.states)[:-1], elementwise=True, right_is_state=True
        )
        return term, self._with_state_scales(term, gradients.log_scales[:-1][::-1])

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        term, log_weights = self._decay_term(self.clipped_gradients if clipped else self.gradients)
        return shares_of(self._log_norms_by_step(term, log_weights)[::-1], lags)

    def _log_norms_by_step(self, term: OuterSum, log_weights: Array) -> Array:
        """ln of the norm of the gradient of each step's decays, (T,), summed over the sequences that share them."""
        if self.cell.decays.shape[1] == 1:
            return log_norms_by_step(term, log_weights)
        assert term.right is not None, "an elementwise product has two sides"
        parts = [
            log_norms_by_step(
                OuterSum(term.left[:, b : b + 1], term.right[:, b : b + 1], elementwise=True),
                log_weights[:, b : b + 1],
            )
            for b in range(log_weights.shape[1])
        ]
        return root_sum_of_squares(np.array(parts), axis=0)


class DecaysRun(DecaysTransport):
    """Without drive, with a loss whose gradient does not depend on the state: every product in closed form."""

    matrix = None
    step_matrix = None
    activation = None
    parts = None

    def __init__(self, problem: Problem, cell: DecaysCell) -> None:
        self.problem = problem
        self.cell = cell
        self.depth = problem.depth
        self.outcome = outcome_of(problem.depth, problem.depth)
        self.warnings: list[str] = []
        self.algorithms: dict[str, str] = {"gradients": "sums of ln |decay|, mode by mode"}

    @cached_property
    def initial_state(self) -> Array:
        initial, size = self.problem.initial_state, self.cell.state_size
        if initial is None:
            return np.zeros((self.problem.batch, size))
        return initial.build(self.problem.batch, size, None)

    @cached_property
    def cotangent(self) -> Array:
        return self.problem.loss.gradient(self.initial_state, self.depth).outputs

    # -- states ------------------------------------------------------------------------------------------------

    @cached_property
    def _log_forward(self) -> Array:
        """ln |a_t .. a_1| by step t, (T + 1, P, N)."""
        return _log_products(self._log_decays)

    @cached_property
    def _log_start(self) -> Array:
        """ln of the moduli of the state after the burn-in, (B, N)."""
        return _log(np.abs(self.initial_state)) + self._log_burn_in

    @cached_property
    def _log_burn_in(self) -> Array:
        """ln |a_0 a_{-1} ..|, (P, N)."""
        return np.asarray(_log(np.abs(self.cell.decays[: self.cell.burn_in])).sum(axis=0))

    def state_log_norms(self, steps: Array) -> Array:
        return _log_norms(self._log_forward, self._log_start, steps)

    def final_state(self) -> Array | None:
        logs, signs = self._final_modes()
        with np.errstate(over="ignore", under="ignore"):
            state = signs * np.exp(logs)
        return state if np.isfinite(state).all() else None

    def final_direction(self) -> Array:
        logs, signs = self._final_modes()
        peaks = logs.max(axis=1, keepdims=True)
        return np.asarray(signs * np.exp(logs - np.where(np.isneginf(peaks), 0.0, peaks)))

    def _final_modes(self) -> tuple[Array, Array]:
        """ln of the modulus and the sign of every entry of s_T, (B, N) each."""
        signs = np.sign(self.initial_state) * self._signs.prod(axis=0)
        return self._log_start + self._log_forward[-1], signs

    @cached_property
    def _signs(self) -> Array:
        """Of all decays, burn-in included, in a byte each."""
        return np.sign(self.cell.decays).astype(np.int8)

    # -- gradients ---------------------------------------------------------------------------------------------

    def gradient_log_norms(self, lags: Array, part: slice | None = None) -> Array:
        return self.transported_log_norms(lags)

    def transported_log_norms(self, lags: Array, clipped: bool = False) -> Array:
        return _log_norms(self._log_backward, _log(np.abs(self.cotangent)), lags)

    @cached_property
    def _changes(self) -> Array:
        """The median change of the gradient at every lag, (T + 1,)."""
        return median_change(self.transported_log_norms(np.arange(self.depth + 1)))

    def crossing(self, nats: float, within: int | None = None, clipped: bool = False) -> Crossing:
        return crossing_of(self._changes, nats)

    def passages(self, below: Sequence[float], above: Sequence[float]) -> Passages:
        return passages_of(
            median_log_norms(self.transported_log_norms(np.arange(self.depth + 1))), below, above
        )

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        return {}

    def slope_growth(self) -> None:
        return None

    # -- parameters --------------------------------------------------------------------------------------------

    @cached_property
    def _decay_gradient(self) -> tuple[Array, Array]:
        """dL/da_t = g h_0 times all other decays: the logarithm of its modulus and its sign, (T, P, N) each."""
        g, h = self.cotangent, self.initial_state
        logs, products = _log(np.abs(g)) + _log(np.abs(h)), np.sign(g) * np.sign(h)
        if self.cell.decays.shape[1] == 1:
            scales, summed = summed_products(g, h)
            logs, products = (scales + _log(np.abs(summed)))[None], summed[None]
        burnt, kept = self._signs[: self.cell.burn_in], self._signs[self.cell.burn_in :]
        signs = (
            _sign_products(kept)[:-1] * _sign_products(kept[::-1])[-2::-1] * burnt.prod(axis=0, dtype=np.int8)
        )
        logs = logs + self._log_burn_in
        return self._log_forward[:-1] + self._log_backward[-2::-1] + logs, np.sign(products) * signs

    def parameter_gradients(self, clipped: bool = False) -> Mapping[str, ScaledArray]:
        logs, signs = self._decay_gradient
        peak = float(logs.max())
        gradient = signs * np.exp(logs - peak) if peak > -np.inf else np.zeros_like(logs)
        return {"decays": ScaledArray.of(_as_given(self.cell, gradient), peak)}

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        logs, _ = self._decay_gradient
        return shares_of(root_sum_of_squares(logs.reshape(self.depth, -1))[::-1], lags)


def _log(numbers: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(numbers))


def _log_products(logs: Array) -> Array:
    """Sums of the first 0, 1, .. T of T logarithms; the product of none is one."""
    sums = np.zeros((len(logs) + 1, *logs.shape[1:]))
    np.cumsum(logs, axis=0, out=sums[1:])
    return sums


def _sign_products(signs: Array) -> Array:
    products = np.ones((len(signs) + 1, *signs.shape[1:]), dtype=np.int8)
    np.cumprod(signs, axis=0, out=products[1:])
    return products


def _log_norms(log_products: Array, log_moduli: Array, steps: Array) -> Array:
    """ln of the norm of products (.., P, N) at some steps times vectors (B, N) of the given moduli, (len(steps), B)."""
    height = max(1, _CHUNK // max(1, log_moduli.size))
    chunks = [steps[first : first + height] for first in range(0, len(steps), height)]
    return np.concatenate([root_sum_of_squares(log_products[chunk] + log_moduli) for chunk in chunks])


def _over_batch(cell: DecaysCell, terms: Array) -> Array:
    """Terms (T, B, N) as the gradient of the decays: summed over the sequences that share them."""
    return _as_given(cell, terms.sum(axis=1, keepdims=True) if cell.decays.shape[1] == 1 else terms)


def _as_given(cell: DecaysCell, gradient: Array) -> Array:
    """A gradient (T, P, N) in the shape the decays were given in."""
    return np.swapaxes(gradient, 0, 1) if cell.has_batch_axis else gradient[:, 0]
