"""What was measured before on layers of PyTorch 2.13 and Keras 3.15, with other code and other seeds.

Leading exponents in nats a step, mean and spread over five seeds, 500 steps after burn-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Earlier(NamedTuple):
    """`spread` is None where none was written down, `steps` where gradients grow."""

    exponent: float
    spread: float | None
    steps: int | None


EARLIER: Mapping[tuple[str, int], Earlier] = {
    ("PyTorch RNN, tanh", 64): Earlier(-0.565, 0.050, 12),
    ("PyTorch LSTM", 64): Earlier(-0.445, 0.010, 16),
    ("PyTorch GRU", 64): Earlier(-0.444, 0.031, 16),
    ("Keras SimpleRNN", 64): Earlier(-0.259, 0.005, 27),
    ("Keras LSTM", 64): Earlier(-0.173, 0.010, 40),
    ("Keras GRU", 64): Earlier(-0.450, 0.017, 15),
    ("PyTorch RNN, tanh", 256): Earlier(-0.538, 0.013, 13),
    ("PyTorch LSTM", 256): Earlier(-0.448, 0.005, 15),
    ("PyTorch GRU", 256): Earlier(-0.438, 0.009, 16),
    ("Keras SimpleRNN", 256): Earlier(-0.150, 0.002, 46),
    ("Keras LSTM", 256): Earlier(-0.164, 0.003, 42),
    ("Keras GRU", 256): Earlier(-0.449, 0.003, 15),
    ("PyTorch LSTM, forget bias 1", 256): Earlier(-0.141, None, 49),
    ("PyTorch LSTM, forget bias 2", 256): Earlier(-0.010, None, 677),
    ("PyTorch LSTM, forget bias 3", 256): Earlier(0.008, None, None),
}
