"""Factors whose products are off by one more rounding: what comes out otherwise by them is not known."""

from __future__ import annotations

import numpy as np

from .._types import Array
from .factors import Factors

_EPS = float(np.finfo(np.float64).eps)


class Perturbed:
    """J_t with every entry it is multiplied with, and every entry of the product, off by a relative eps.

    Signs are random and those of a fixed seed: another run of the same sweep, which differs by rounding alone.
    """

    def __init__(self, factors: Factors) -> None:
        self._factors = factors
        self._generator = np.random.default_rng(22)
        self.steps, self.size, self.batch = factors.steps, factors.size, factors.batch

    def times(self, step: int, frames: Array) -> Array:
        return self._off(self._factors.times(step, self._off(frames)))

    def transpose_times(self, step: int, frames: Array) -> Array:
        return self._off(self._factors.transpose_times(step, self._off(frames)))

    def dense(self, step: int) -> Array:
        return self._factors.dense(step)

    def _off(self, values: Array) -> Array:
        return values * np.where(self._generator.random(values.shape) < 0.5, 1.0 - _EPS, 1.0 + _EPS)
