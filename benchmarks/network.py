"""The network every numeric row is measured on: h' = tanh(W h + U x + b), as arrays and as PyTorch tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from gradhorizon_service.worker.cells.rnn import RnnCell
from gradhorizon_service.worker.trajectory import Trajectory, run_forward

GAIN = 1.2
WIDTH = 4


@dataclass(frozen=True, eq=False)
class Network:
    """weights (N, N), input_weights (N, D), bias (N,), inputs (T, B, D), initial state (B, N), cotangent (B, N)."""

    weights: np.ndarray
    input_weights: np.ndarray
    bias: np.ndarray
    inputs: np.ndarray
    initial: np.ndarray
    cotangent: np.ndarray

    @property
    def steps(self) -> int:
        """T."""
        return len(self.inputs)

    def forward(self) -> Trajectory:
        """The forward pass, through the service's own cell and loop."""
        cell = RnnCell.build(weights=self.weights, input_weights=self.input_weights, bias=self.bias)
        return run_forward(cell, self.initial, self.inputs, self.steps)

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The same arrays for PyTorch, in the order of the fields."""
        return tuple(torch.from_numpy(getattr(self, field.name)) for field in fields(self))


def random_network(size: int, steps: int, batch: int = 1, gain: float = GAIN) -> Network:
    """Gaussian weights of spectral radius near `gain`, driven by noise, always the same for the same sizes."""
    rng = np.random.default_rng(0)
    return Network(
        gain * rng.standard_normal((size, size)) / np.sqrt(size),
        0.1 * rng.standard_normal((size, WIDTH)),
        0.1 * rng.standard_normal(size),
        rng.standard_normal((steps, batch, WIDTH)),
        rng.standard_normal((batch, size)),
        rng.standard_normal((batch, size)),
    )
