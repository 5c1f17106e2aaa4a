"""Slow second versions that tests compare with: losses by their formulas, gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cases import Array
from gradhorizon_service.worker.losses import CotangentLoss, CrossEntropyLoss, Loss, SquaredErrorLoss

_STEP = 2e-5


def numerical_gradient(function: Callable[[Array], float], at: Array) -> Array:
    """Central differences of fourth order: (8 (f1 - f-1) - (f2 - f-2)) / 12 e, good to about 1e-10."""
    gradient = np.zeros(np.shape(at))
    for index in np.ndindex(np.shape(at)):
        values = []
        for multiple in (1, -1, 2, -2):
            moved = np.array(at, dtype=np.float64)
            moved[index] += multiple * _STEP
            values.append(function(moved))
        gradient[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * _STEP)
    return gradient


def loss_value(loss: Loss, outputs: Array, step: int) -> float:
    """The loss term of one step, by its definition."""
    if isinstance(loss, CotangentLoss):
        return float(np.sum(loss.values * outputs))
    if isinstance(loss, CrossEntropyLoss):
        logits = outputs @ loss.readout_weight.T + (0.0 if loss.readout_bias is None else loss.readout_bias)
        labels = loss.targets[:, step - 1] if loss.targets.ndim == 2 else loss.targets
        chosen = logits[np.arange(len(logits)), labels]
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))
    assert isinstance(loss, SquaredErrorLoss)
    predicted = outputs if loss.readout_weight is None else outputs @ loss.readout_weight.T
    predicted = predicted + (0.0 if loss.readout_bias is None else loss.readout_bias)
    squares = (predicted - (loss.targets[:, step - 1] if loss.targets.ndim == 3 else loss.targets)) ** 2
    return float(np.mean(squares) if loss.reduction == "mean" else 0.5 * np.sum(squares))
