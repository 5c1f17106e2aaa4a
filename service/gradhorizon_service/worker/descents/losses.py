"""Losses at the last step of all runs at once, PyTorch's definitions, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .._types import Array

Loss = Callable[[Array, Array], tuple[Array, Array]]
"""Outputs (R, B, K) and targets to the losses (R,) and their gradient with respect to the outputs."""


def cross_entropy(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Mean over the batch of -log softmax(y)[target], targets (R, B) of integers."""
    shifted = outputs - outputs.real.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    picked = np.take_along_axis(shifted, targets[..., None], axis=-1)
    batch = outputs.shape[1]
    gradient = exponentials / total
    np.put_along_axis(
        gradient, targets[..., None], np.take_along_axis(gradient, targets[..., None], -1) - 1, -1
    )
    gradient /= batch
    return (np.log(total) - picked).sum(axis=(1, 2)) / batch, gradient


def squared_error(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Mean over batch and outputs of (y - target)^2, PyTorch's MSELoss; targets (R, B, K)."""
    difference = outputs - targets
    count = difference.shape[1] * difference.shape[2]
    return (difference * difference).sum(axis=(1, 2)) / count, difference * (2.0 / count)


def half_squared_error(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Half the sum over outputs of (y - target)^2, the mean over the batch; targets (R, B, K)."""
    difference = outputs - targets
    batch = difference.shape[1]
    return (difference * difference).sum(axis=(1, 2)) / (2 * batch), difference / batch


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
    "half_squared_error": half_squared_error,
}
