"""What simple debuggers of training look at: mean absolute gradients, and how much of a layer is ever active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .activations import Relu, Sigmoid, Tanh
from .cells import Nonlinearity
from .horizon import LN10
from .runs import Run

TANH_RANGE = (-9.4999, 9.4999)
SIGMOID_RANGE = (-23.0, 16.99999)
INACTIVITY_PERCENT = 1.0
"""Thresholds of the rules SaturatedActivation and DeadRelu, at their published defaults."""

_RANGES = {Tanh: TANH_RANGE, Sigmoid: SIGMOID_RANGE, Relu: (0.0, np.inf)}


@dataclass(frozen=True)
class Activity:
    """Of one nonlinearity, the percentage of units that are active less than `INACTIVITY_PERCENT` of the time."""

    name: str
    kind: str
    inactive_percent: float


def log10_mean_gradients(run: Run) -> dict[str, float]:
    """log10 of the mean absolute gradient of every parameter by name; -inf for zero."""
    found = {}
    for name, gradient in run.parameter_gradients().items():
        mean = float(np.mean(np.abs(gradient.array)))
        found[name] = gradient.log_scale / LN10 + float(np.log10(mean)) if mean > 0 else -np.inf
    return found


def activities(run: Run) -> list[Activity]:
    """Every tanh, sigmoid and ReLU of the run."""
    seen = run.nonlinearities() if run.outcome.steps_completed else {}
    return [activity for name, one in seen.items() for activity in _activities(name, one)]


def _activities(name: str, one: Nonlinearity) -> Iterator[Activity]:
    bounds = _RANGES.get(type(one.activation))
    if bounds is None:
        return
    kind = type(one.activation).__name__.lower()
    given = one.preactivations
    if isinstance(given, np.ndarray):
        yield Activity(name, kind, _inactive(given, bounds))
    else:
        for index, layer in enumerate(given):
            yield Activity(f"{name} of layer {index}", kind, _inactive(np.asarray(layer), bounds))


def _inactive(preactivations: Array, bounds: tuple[float, float]) -> float:
    low, high = bounds
    active = (preactivations > low) & (preactivations < high)
    share = active.reshape(-1, active.shape[-1]).mean(axis=0)
    return 100.0 * float(np.mean(100.0 * share < INACTIVITY_PERCENT))
