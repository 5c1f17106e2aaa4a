"""The LSTM that the gated rows are measured on, as arrays and as PyTorch's own cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gradhorizon_service.worker.cells.lstm import LstmCell
from gradhorizon_service.worker.trajectory import Trajectory, run_forward

from .network import WIDTH

GAIN = 0.5  # an LSTM at 1.2 is chaotic, and two programs soon follow two trajectories
FORGET_BIAS = 3.0


@dataclass(frozen=True, eq=False)
class GatedNetwork:
    """weights (4H, H), input_weights (4H, D), bias (4H,), inputs (T, B, D), h and c (B, H), cotangent of h_T (B, H)."""

    weights: np.ndarray
    input_weights: np.ndarray
    bias: np.ndarray
    inputs: np.ndarray
    h: np.ndarray
    c: np.ndarray
    cotangent: np.ndarray

    @property
    def steps(self) -> int:
        """T."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """H."""
        return self.weights.shape[1]

    def forward(self) -> Trajectory:
        """The forward pass, through the service's own cell and loop."""
        cell = LstmCell.build(weights=self.weights, input_weights=self.input_weights, bias=self.bias)
        return run_forward(cell, np.concatenate([self.h, self.c], axis=1), self.inputs, self.steps)

    def cell(self) -> torch.nn.LSTMCell:
        """The same as nn.LSTMCell."""
        cell = torch.nn.LSTMCell(WIDTH, self.size).double()
        arrays = {
            "weight_hh": self.weights,
            "weight_ih": self.input_weights,
            "bias_ih": self.bias,
            "bias_hh": np.zeros_like(self.bias),
        }
        cell.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        return cell

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """inputs, h, c and the cotangent for PyTorch."""
        return tuple(torch.from_numpy(a) for a in (self.inputs, self.h, self.c, self.cotangent))


def random_gated_network(size: int, steps: int, batch: int = 1) -> GatedNetwork:
    """Gaussian weights, driven by noise, always the same for the same sizes; forget gates mostly open.

    Without that, a gradient leaves float64 long before step 1000, and PyTorch would count zeros.
    """
    rng = np.random.default_rng(0)
    bias = 0.1 * rng.standard_normal(4 * size)
    bias[size : 2 * size] += FORGET_BIAS
    return GatedNetwork(
        GAIN * rng.standard_normal((4 * size, size)) / np.sqrt(size),
        0.1 * rng.standard_normal((4 * size, WIDTH)),
        bias,
        rng.standard_normal((steps, batch, WIDTH)),
        *(0.1 * rng.standard_normal((2, batch, size))),
        rng.standard_normal((batch, size)),
    )
