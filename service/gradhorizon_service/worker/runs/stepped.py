"""The general run: step forward through every state, step backward through every gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..backprop import Backpropagated, backpropagate, backpropagate_window
from ..block_diagonal import BlockDiagonal
from ..cells import Cell, Nonlinearity, OuterSum
from ..cells.feedforward import FeedforwardCell
from ..cells.jacobians import JacobiansCell, JacobiansLinearisation
from ..errors import CannotRun
from ..horizon import Crossing, crossing_of, median_change, median_log_norms
from ..losses import LossGradient
from ..outcome import outcome_of
from ..parameter_gradients import ScaledArray, log_norms_by_step, total
from ..problem import Problem
from ..products.factors import Factors, Repeated, square_core
from ..products.levels import Passages, passages_of
from ..products.lyapunov import LyapunovSpectrum, lyapunov_exponents
from ..products.power_singular_values import singular_values_of_repeated
from ..products.singular_values import LogSingularValues, log_singular_values
from ..products.transport_norms import TransportPeak, transport_peak
from ..statistics import log_norms_by_step as log_norms_of
from ..trajectory import Trajectory, run_forward
from ._padding import PaddedFactors
from ._run import Shares
from ._shares import shares_of


class SteppedRun:
    """A forward pass over all steps and the backward passes that diagnostics ask for."""

    def __init__(self, problem: Problem, cell: Cell) -> None:
        self.problem = problem
        self.cell = cell
        self.warnings: list[str] = []
        self.algorithms: dict[str, str] = {"gradients": "reverse accumulation, renormalised each step"}
        self.depth = self._completed_steps()
        self.outcome = outcome_of(self.depth, problem.depth)

    def _completed_steps(self) -> int:
        return self.problem.depth if isinstance(self.cell, JacobiansCell) else self.trajectory.steps

    @cached_property
    def inputs(self) -> Array | None:
        """(burn_in + T, B, D) as far as the network is driven."""
        inputs = self.problem.inputs
        if inputs is None:
            return None
        built = inputs.build(self.problem.burn_in + self.problem.depth)
        if built.shape[1] == self.problem.batch:
            return built
        return np.broadcast_to(built, (len(built), self.problem.batch, built.shape[2]))

    @cached_property
    def initial_state(self) -> Array:
        initial = self.problem.initial_state
        size = self.cell.state_size
        if initial is None:
            return np.zeros((self.problem.batch, size))
        return initial.build(self.problem.batch, size, self.matrix)

    @cached_property
    def trajectory(self) -> Trajectory:
        """The forward pass."""
        problem = self.problem
        return run_forward(
            self.cell,
            self.initial_state,
            self.inputs,
            problem.depth,
            burn_in=problem.burn_in,
            rescale=self.cell.homogeneous and not problem.loss.needs_states,
            is_usable=self._has_loss,
        )

    def _has_loss(self, state: Array, step: int) -> bool:
        """Whether the gradient of a loss at this state is a float64: residuals and readouts may carry it beyond."""
        outputs = self._seen(state)
        if not (self.problem.loss.needs_states and outputs.shape[1] == self.cell.output_size):
            return True
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.problem.loss.gradient(outputs, step)
        return bool(np.isfinite(found.outputs).all())

    @property
    def _linearisation(self):  # type: ignore[no-untyped-def]
        if isinstance(self.cell, JacobiansCell):
            return JacobiansLinearisation(self.cell)
        return self.trajectory.linearisation

    @property
    def matrix(self) -> Array | BlockDiagonal | None:
        return self.cell.matrix

    @property
    def activation(self) -> Activation | None:
        return None if isinstance(self.cell.activation, Identity) else self.cell.activation

    @property
    def parts(self) -> Mapping[str, slice] | None:
        return self.cell.parts

    @property
    def step_matrix(self) -> Array | None:
        factors = self._linearisation.factors()
        return factors.matrix if isinstance(factors, Repeated) else None

    # -- losses ------------------------------------------------------------------------------------------------

    def _outputs(self, step: int) -> Array:
        if isinstance(self.cell, JacobiansCell):
            return np.zeros((self.problem.batch, self.cell.state_size))
        return self._seen(self.trajectory.states[step])

    def _seen(self, state: Array) -> Array:
        """What a loss sees of a state: h."""
        return state if isinstance(self.cell, FeedforwardCell) else state[:, : self.cell.output_size]

    def _loss_gradient(self, step: int) -> LossGradient:
        outputs = self._outputs(step)
        if self.problem.loss.has_width and outputs.shape[1] != self.cell.output_size:
            raise CannotRun(
                "loss",
                f"it is of {self.cell.output_size} outputs, but the forward state left float64 behind layer {step}, "
                f"which has {outputs.shape[1]}: rescale the layers, or leave the loss out",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.problem.loss.gradient(outputs, step)
        if not np.isfinite(found.outputs).all():
            raise CannotRun(
                "loss",
                f"its gradient at step {step} is too large for float64: rescale the state, the readout or the targets",
            )
        return found

    def _state_gradient(self, step: int, last_only: bool) -> Array | None:
        """The loss term of one step as a gradient of the whole state; None where there is no term."""
        if step < self.depth and (last_only or not self.problem.every_step):
            return None
        gradient = self._loss_gradient(step).outputs
        missing = self._state_width(step) - gradient.shape[1]
        return np.pad(gradient, ((0, 0), (0, missing))) if missing else gradient

    def _state_width(self, step: int) -> int:
        if isinstance(self.cell, JacobiansCell):
            return self.cell.state_size
        return int(self.trajectory.states[step].shape[1])

    @property
    def cotangent(self) -> Array:
        gradient = self._state_gradient(self.depth, True)
        assert gradient is not None
        return gradient

    # -- gradients ---------------------------------------------------------------------------------------------

    def _backpropagate(self, last_only: bool, clip: float | None = None) -> Backpropagated:
        term = partial(self._state_gradient, last_only=last_only)
        return backpropagate(self._linearisation, self.depth, term, recurrent=self.cell.recurrent, clip=clip)

    @cached_property
    def transported(self) -> Backpropagated:
        """The gradient of the last step's loss, all the way back."""
        return self._backpropagate(last_only=True)

    @cached_property
    def gradients(self) -> Backpropagated:
        """The gradient of the loss as it was asked for."""
        problem = self.problem
        if not problem.every_step:
            whole = self.transported
            return whole if problem.truncate is None else whole.truncated(problem.truncate)
        if problem.truncate is None:
            return self._backpropagate(last_only=False)
        term = partial(self._state_gradient, last_only=False)
        return backpropagate_window(self._linearisation, self.depth, term, problem.truncate)

    @cached_property
    def clipped_gradients(self) -> Backpropagated:
        """The gradients as they reach the parameters: cut at every step where the policy is per_step."""
        clipping = self.problem.clipping
        if clipping is None or clipping.kind != "per_step":
            return self.gradients
        return self._backpropagate(last_only=not self.problem.every_step, clip=clipping.threshold)

    def state_log_norms(self, steps: Array) -> Array:
        return np.asarray(self.trajectory.log_norms()[steps])

    def final_state(self) -> Array | None:
        return self.trajectory.final_state()

    def final_direction(self) -> Array:
        return np.asarray(self.trajectory.states[-1])

    def gradient_log_norms(self, lags: Array, part: slice | None = None) -> Array:
        norms = self.gradients.log_norms if part is None else self.gradients.part_log_norms(part)
        return np.asarray(norms[lags])

    def transported_log_norms(self, lags: Array, clipped: bool = False) -> Array:
        return np.asarray(self._transport(clipped).log_norms[lags])

    def crossing(self, nats: float, within: int | None = None, clipped: bool = False) -> Crossing:
        return crossing_of(median_change(self._transport(clipped).log_norms), nats)

    def _transport(self, clipped: bool) -> Backpropagated:
        return self._clipped_transport if clipped else self.transported

    @cached_property
    def _clipped_transport(self) -> Backpropagated:
        clipping = self.problem.clipping
        if clipping is None or clipping.kind != "per_step":
            return self.transported
        return self._backpropagate(last_only=True, clip=clipping.threshold)

    def passages(self, below: Sequence[float], above: Sequence[float]) -> Passages:
        return passages_of(median_log_norms(self.transported.log_norms), below, above)

    # -- nonlinearities ----------------------------------------------------------------------------------------

    @cached_property
    def _kept_inputs(self) -> Array | None:
        """The inputs of the steps that were completed, (T, B, D)."""
        return None if self.inputs is None else self.inputs[self.problem.burn_in :][: self.depth]

    def nonlinearities(self) -> Mapping[str, Nonlinearity]:
        return self.cell.nonlinearities(self.trajectory.states, self._kept_inputs)

    def slope_growth(self) -> Array | None:
        if not self.cell.splits:
            return None
        passed = log_norms_of(self.transported.deltas) + self.transported.log_scales[:-1]
        with np.errstate(invalid="ignore"):  # a gradient that is exactly zero has no growth
            return np.asarray(passed - self.transported.log_norms[:-1])

    # -- parameters --------------------------------------------------------------------------------------------

    def parameter_gradients(self, clipped: bool = False) -> Mapping[str, ScaledArray]:
        gradients = self.clipped_gradients if clipped else self.gradients
        return {**self._cell_gradients(gradients), **self._readout_gradients()}

    def _cell_gradients(self, gradients: Backpropagated) -> dict[str, ScaledArray]:
        if isinstance(self.cell, FeedforwardCell):
            return self._layer_gradients(gradients)
        terms, weights = self._terms(gradients)
        return {name: total(term, self._with_state_scales(term, weights)) for name, term in terms.items()}

    def _terms(self, gradients: Backpropagated) -> tuple[Mapping[str, OuterSum], Array]:
        """Outer-product terms by parameter, steps in forward order, and the log scales of their deltas."""
        if isinstance(self.cell, JacobiansCell):
            return {}, np.zeros((0, self.problem.batch))
        deltas = np.asarray(gradients.deltas)[::-1]
        states = np.asarray(self.trajectory.states)
        terms = self._linearisation.parameter_terms(deltas, states, self._kept_inputs)
        return terms, gradients.log_scales[:-1][::-1]

    def _with_state_scales(self, term: OuterSum, log_weights: Array) -> Array:
        """A parameter that multiplies a state takes on the scale of that state."""
        return log_weights + self.trajectory.log_scales[:-1] if term.right_is_state else log_weights

    def _readout_gradients(self) -> dict[str, ScaledArray]:
        steps = range(1, self.depth + 1) if self.problem.every_step else [self.depth]
        sums: dict[str, ScaledArray] = {}
        for step in steps:
            for name, gradient in self._loss_gradient(step).readout.items():
                sums[name] = sums[name].plus(gradient) if name in sums else gradient
        return sums

    def _layer_gradients(self, gradients: Backpropagated) -> dict[str, ScaledArray]:
        """Unshared weights: one gradient a layer, layers[0] the first."""
        assert isinstance(self.cell, FeedforwardCell)
        found: dict[str, ScaledArray] = {}
        for layer in range(self.depth):
            delta = gradients.deltas[self.depth - 1 - layer][None]
            weights = gradients.log_scales[self.depth - 1 - layer][None]
            state = self.trajectory.states[layer][None]
            scales = self.trajectory.log_scales[layer][None]
            found[f"layers[{layer}]"] = total(OuterSum(delta, state), weights + scales)
            if self.cell.biases is not None:
                found[f"biases[{layer}]"] = total(OuterSum(delta, None), weights)
        return found

    def shares(self, lags: Array, clipped: bool = False) -> Shares | None:
        if isinstance(self.cell, FeedforwardCell):
            return None
        terms, weights = self._terms(self.clipped_gradients if clipped else self.gradients)
        if "weights" not in terms:
            return None
        by_step = log_norms_by_step(terms["weights"], self._with_state_scales(terms["weights"], weights))
        return shares_of(by_step[::-1], lags)

    # -- transport ---------------------------------------------------------------------------------------------

    @cached_property
    def factors(self) -> Factors:
        """The step Jacobians as square factors with the singular values of the transport."""
        factors = self._linearisation.factors()
        return square_core(self._linearisation.jacobians()) if factors is None else factors

    @cached_property
    def transport_peak(self) -> TransportPeak:
        factors = self._linearisation.factors()
        return self._rectangular_peak() if factors is None else transport_peak(factors)

    def _rectangular_peak(self) -> TransportPeak:
        """Of layers of different sizes; padding adds zeros to the singular values, which are taken off again."""
        jacobians = self._linearisation.jacobians()
        found = transport_peak(PaddedFactors(jacobians))
        narrowest = min(min(J.shape[-2:]) for J in jacobians)
        return replace(
            found, log_singular_values=self._with_annihilated(found.log_singular_values[:, :narrowest])
        )

    def _with_annihilated(self, log_values: Array) -> Array:
        """Add the exact zeros of directions that do not fit through the narrowest layer, up to min(N_0, N_T)."""
        missing = min(self._state_width(0), self._state_width(self.depth)) - log_values.shape[1]
        return np.pad(log_values, ((0, 0), (0, max(missing, 0))), constant_values=-np.inf)

    def singular_values(self) -> LogSingularValues:
        return self._singular_values

    @cached_property
    def _singular_values(self) -> LogSingularValues:
        if isinstance(self.factors, Repeated):
            return singular_values_of_repeated(self.factors.matrix, self.factors.steps)
        found = log_singular_values(self.factors)
        return replace(found, log_values=self._with_annihilated(found.log_values))

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        return lyapunov_exponents(self.factors, leading=leading)
