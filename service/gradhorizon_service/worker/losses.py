"""Losses: the gradient with respect to h at the steps where a loss is taken, and that of the readout.

A loss sees outputs h (B, N) of one step. Summed over every step it is called once a step; targets may then change
from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ._types import Array
from .parameter_gradients import ScaledArray


@dataclass(frozen=True, eq=False)
class LossGradient:
    """Gradient of one step's loss: of the outputs, (B, N), and of each readout parameter by its name."""

    outputs: Array
    readout: Mapping[str, ScaledArray]


class Loss(Protocol):
    """One loss term a step."""

    @property
    def needs_states(self) -> bool:
        """Whether the gradient depends on the outputs, so that they must be representable numbers."""
        ...

    @property
    def has_width(self) -> bool:
        """Whether it is a loss of so many outputs and no others."""
        ...

    def gradient(self, outputs: Array, step: int) -> LossGradient:
        """Gradient at the outputs (B, N) after `step` steps."""
        ...


@dataclass(frozen=True, eq=False)
class CotangentLoss:
    """L = sum_b v_b . h: values (N,), (B, N), or one number."""

    values: Array
    needs_states = False

    @property
    def has_width(self) -> bool:
        return self.values.ndim > 0

    def gradient(self, outputs: Array, step: int) -> LossGradient:
        return LossGradient(np.array(np.broadcast_to(self.values, outputs.shape)), {})


@dataclass(frozen=True, eq=False)
class RandomLoss:
    """A cotangent uniform on the unit sphere for each sequence, the same at every step."""

    seed: int
    needs_states = False
    has_width = False

    def gradient(self, outputs: Array, step: int) -> LossGradient:
        rows = np.random.default_rng(self.seed).standard_normal(outputs.shape)
        return LossGradient(rows / np.linalg.norm(rows, axis=1, keepdims=True), {})


@dataclass(frozen=True, eq=False)
class CrossEntropyLoss:
    """Mean over the batch of -log softmax(R h + r)[target]; targets (B,) or (B, T)."""

    readout_weight: Array
    readout_bias: Array | None
    targets: Array
    needs_states = True
    has_width = True

    def gradient(self, outputs: Array, step: int) -> LossGradient:
        batch = len(outputs)
        labels = np.broadcast_to(
            self.targets[:, step - 1] if self.targets.ndim == 2 else self.targets, (batch,)
        )
        logits = _readout(outputs, self.readout_weight, self.readout_bias)
        residual = _softmax_minus_one_hot(logits, labels) / batch
        return _through_readout(residual, outputs, self.readout_weight, self.readout_bias)


@dataclass(frozen=True, eq=False)
class SquaredErrorLoss:
    """Squared error of h or R h + r: `mean` over all B x K entries as PyTorch's mse_loss, or `half_sum`.

    targets: one number, (K,), (B, K) or, changing with the step, (B, T, K).
    """

    targets: Array
    readout_weight: Array | None
    readout_bias: Array | None
    reduction: str
    needs_states = True

    @property
    def has_width(self) -> bool:
        return self.readout_weight is not None or self.targets.ndim > 0

    def gradient(self, outputs: Array, step: int) -> LossGradient:
        targets = self.targets[:, step - 1] if self.targets.ndim == 3 else self.targets
        predicted = outputs
        if self.readout_weight is not None:
            predicted = _readout(outputs, self.readout_weight, self.readout_bias)
        residual = predicted - targets
        if self.reduction == "mean":
            residual = residual * (2.0 / residual.size)
        if self.readout_weight is None:
            return LossGradient(residual, {})
        return _through_readout(residual, outputs, self.readout_weight, self.readout_bias)


def _readout(outputs: Array, weight: Array, bias: Array | None) -> Array:
    values = outputs @ weight.T
    return values if bias is None else values + bias


def _softmax_minus_one_hot(logits: Array, labels: Array) -> Array:
    """softmax(z) - e_y, with the entry of the label formed as minus the others' sum: no cancellation near zero."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    residual = weights / weights.sum(axis=1, keepdims=True)
    residual[rows, labels] = 0.0
    residual[rows, labels] = -residual.sum(axis=1)
    return np.asarray(residual)


def _through_readout(residual: Array, outputs: Array, weight: Array, bias: Array | None) -> LossGradient:
    """Both factors of the outer product at order one: a state that diverges may be 1e300, and a residual with it."""
    left, right = ScaledArray.of(residual), ScaledArray.of(outputs)
    log_scale = left.log_scale + right.log_scale
    readout = {"readout_weight": ScaledArray.of(left.array.T @ right.array, log_scale)}
    if bias is not None:
        readout["readout_bias"] = ScaledArray.of(left.array.sum(axis=0), left.log_scale)
    return LossGradient(residual @ weight, readout)
