"""Optimizers exactly as PyTorch runs them, on the parameters of all runs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .._types import Array


class Optimizer(Protocol):
    """Turns gradients into updates; keeps what it needs between steps."""

    def update(self, gradient: Array) -> Array:
        """What is added to the parameters, (R, n) from the gradient (R, n), in its precision."""
        ...


@dataclass
class Sgd:
    """torch.optim.SGD: v <- momentum v + g (v = g at the first step), and -rate v, or -rate (g + momentum v)."""

    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    _velocity: Array | None = None

    def update(self, gradient: Array) -> Array:
        rate, momentum = gradient.dtype.type(self.learning_rate), gradient.dtype.type(self.momentum)
        if self.momentum == 0.0:
            return np.asarray(-rate * gradient)
        self._velocity = gradient if self._velocity is None else momentum * self._velocity + gradient
        ahead = gradient + momentum * self._velocity if self.nesterov else self._velocity
        return np.asarray(-rate * ahead)


@dataclass
class Adam:
    """torch.optim.Adam: m and v are running means of g and g^2, each divided by 1 - beta^t before use."""

    learning_rate: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    _steps: int = 0
    _mean: Array | None = None
    _square: Array | None = None

    def update(self, gradient: Array) -> Array:
        kind = gradient.dtype.type
        first, second = self.betas
        if self._mean is None or self._square is None:
            self._mean, self._square = np.zeros_like(gradient), np.zeros_like(gradient)
        self._steps += 1
        self._mean = self._mean + (gradient - self._mean) * kind(1.0 - first)
        self._square = self._square * kind(second) + kind(1.0 - second) * gradient * gradient
        correction = np.sqrt(1.0 - second**self._steps)
        divisor = np.sqrt(self._square) / kind(correction) + kind(self.epsilon)
        return np.asarray(-kind(self.learning_rate / (1.0 - first**self._steps)) * (self._mean / divisor))


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"sgd": Sgd, "adam": Adam}
"""Kind in a request -> the optimizer, built from the request's fields."""
