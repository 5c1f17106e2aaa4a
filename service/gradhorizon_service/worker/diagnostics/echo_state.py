"""Whether a reservoir forgets its start, and how much of its input's past it still holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..cells import LeakyCell, RnnCell
from ..drives import Inputs
from ..matrix_analysis import eigenvalues_sorted, spectral_norm
from ..memory_capacity import RIDGE, MemoryTask, memory_capacity
from ..problem import Problem
from ..runs import Run
from ..seeds import derive_seed
from ..statistics import median

RESERVOIRS = ("rnn", "leaky", "echo_state")
_ROUNDING = 1e-12  # a value this close to 1 is neither above nor below it
_NEAR_ZERO = 1e-300


def not_a_reservoir(problem: Problem) -> str | None:
    """Why there are no echoes to report on."""
    if problem.network.cell not in RESERVOIRS:
        return f"a {problem.network.cell} network is no reservoir; it applies to the cells {', '.join(RESERVOIRS)}"
    if problem.inputs is None:
        return "an echo state network echoes inputs: give network.input_weights"
    return None


@dataclass(frozen=True)
class EchoCondition:
    """One inequality, value < 1: whether it holds, what follows for this network, and what does not."""

    value: float
    holds: bool
    proves: str
    does_not_prove: str


@dataclass(frozen=True, eq=False)
class CapacityByDelay:
    """MC_k by delay k; delay 0 is the input that the state has just seen."""

    delay: Array
    capacity: Array


@dataclass(frozen=True, eq=False)
class EchoState:
    """The two conditions, which are about different things, and two measurements under the input itself."""

    effective_spectral_radius: float
    spectral_radius_condition: EchoCondition
    sigma_max_condition: EchoCondition
    conditional_lyapunov_exponent: float | None
    conditional_lyapunov_exponent_reason: str | None
    memory_capacity: float | None
    memory_capacity_reason: str | None
    memory_capacity_bound: int
    capacity_by_delay: CapacityByDelay | None
    input_std: float
    ridge: float
    washout: int
    train_samples: int
    test_samples: int


def echo_state(run: Run) -> EchoState:
    """Report whether the state forgets its start, by two conditions and under this input, and its memory capacity."""
    cell = run.cell
    assert isinstance(cell, RnnCell | LeakyCell), "the diagnostic applies to reservoirs only"
    assert run.problem.inputs is not None, "the diagnostic applies to driven networks only"
    leak = cell.gain if isinstance(cell, LeakyCell) else 1.0
    radius = _effective_radius(cell.weights, leak)
    bound = (1.0 - leak) + leak * cell.activation.largest_slope * spectral_norm(cell.weights)
    exponent = float(median(run.lyapunov(_leading(run)).exponents, axis=0)[0])
    task, std = MemoryTask.of(cell.state_size), _spread(run.problem.inputs, run.problem)
    found, reason = None, "the inputs do not vary: there is no past to remember"
    if std > 0.0:
        seed = derive_seed(run.problem.seed, "echo_state.memory_capacity")
        direction = _direction(cell, seed)
        found = memory_capacity(cell, direction, std, task, seed)
        reason = "the state leaves float64 under a random input of this size"
    biased = any(np.any(bias) for bias in cell.driven.biases.values())
    samples = task.steps * task.sequences // 2
    finite = np.isfinite(exponent)
    return EchoState(
        effective_spectral_radius=radius,
        spectral_radius_condition=_radius_condition(radius, cell.activation, biased),
        sigma_max_condition=_norm_condition(bound),
        conditional_lyapunov_exponent=exponent if finite else None,
        conditional_lyapunov_exponent_reason=None if finite else _ANNIHILATED,
        memory_capacity=None if found is None else found.total(cell.state_size),
        memory_capacity_reason=reason if found is None else None,
        memory_capacity_bound=cell.state_size,
        capacity_by_delay=None
        if found is None
        else CapacityByDelay(np.arange(len(found.capacity)), found.capacity),
        input_std=std,
        ridge=RIDGE,
        washout=task.washout,
        train_samples=samples,
        test_samples=samples,
    )


_ANNIHILATED = "every difference between two states is annihilated: the exponent is minus infinity"


def _effective_radius(weights: Array, leak: float) -> float:
    """The spectral radius of (1 - a) I + a W."""
    return float(np.abs((1.0 - leak) + leak * eigenvalues_sorted(weights)).max())


def _leading(run: Run) -> int | None:
    """As many exponents as the report holds anyway; the largest alone costs least."""
    return run.problem.leading if "lyapunov" in run.problem.diagnostics else 1


def _spread(inputs: Inputs, problem: Problem) -> float:
    """The standard deviation of the entries of the request's inputs."""
    values = inputs.build(problem.burn_in + problem.depth)
    largest = float(np.abs(values).max()) or 1.0  # squares of 1e200 are no float64
    return largest * float(np.std(values / largest))


def _direction(cell: RnnCell | LeakyCell, seed: int) -> Array:
    """A random unit vector over the inputs: one number a step drives them all."""
    assert cell.driven.input_weights is not None, "a driven network has input weights"
    width = cell.driven.input_weights.shape[1]
    vector = np.random.default_rng([seed, 1]).standard_normal(width)
    return np.ones(1) if width == 1 else np.asarray(vector / np.linalg.norm(vector))


def _radius_condition(radius: float, activation: Activation, biased: bool) -> EchoCondition:
    holds, fails = radius < 1.0 - _ROUNDING, radius > 1.0 + _ROUNDING
    if isinstance(activation, Identity):
        proves = (
            "The echo state property: differences between states fade in the long run, whatever the input."
            if holds
            else "No echo state property: some difference between two states never fades, whatever the input."
        )
        return EchoCondition(
            radius, holds, proves, "That they fade at every step: a non-normal matrix may enlarge them first."
        )
    if biased or not _passes_zero_with_slope_one(activation):
        proves = (
            "Nothing: zero is no fixed point at which the activation has slope 1, so this is the radius of no Jacobian"
            " that the network is bound to meet."
        )
        return EchoCondition(radius, holds, proves, _NOT_UNDER_INPUT)
    if holds:
        proves = "Without input, states near zero return to zero."
        return EchoCondition(radius, holds, proves, _NOT_SUFFICIENT)
    if fails:
        proves = "Without input, zero is unstable: for the zero input there is no echo state property."
        return EchoCondition(radius, holds, proves, _NOT_UNDER_INPUT)
    return EchoCondition(
        radius, holds, "Nothing: at a radius of 1 linearisation decides nothing.", _NOT_UNDER_INPUT
    )


_NOT_SUFFICIENT = (
    "The echo state property, with or without input: tanh with W = [[2, -0.5], [3.25, -0.5]] has radius 0.79 and,"
    " without input, two more stable fixed points (Yildiz, Jaeger and Kiebel 2012)."
)
_NOT_UNDER_INPUT = "That states remember their start under this input: see conditional_lyapunov_exponent."


def _passes_zero_with_slope_one(activation: Activation) -> bool:
    """Whether phi(0) = 0 and phi'(0) = 1, from both sides."""
    near = np.array([-_NEAR_ZERO, 0.0, _NEAR_ZERO])
    return bool(
        activation.value(near)[1] == 0.0 and np.all(np.abs(activation.slope(near) - 1.0) <= _ROUNDING)
    )


def _norm_condition(bound: float) -> EchoCondition:
    """Sufficient: Jaeger 2001 for a = 1; with leak, Jaeger, Lukosevicius, Popovici and Siewert 2007."""
    if bound < 1.0 - _ROUNDING:
        return EchoCondition(
            bound,
            True,
            "The echo state property: under any input, the distance of two states shrinks at least by the factor"
            f" {bound:.6g} a step.",
            "That they come no nearer than that: they may well forget sooner.",
        )
    return EchoCondition(
        bound,
        False,
        "Nothing: the condition is sufficient, not necessary.",
        "That the echo state property fails: most reservoirs in use have it and do not meet this bound.",
    )
