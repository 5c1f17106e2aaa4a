"""The part every cell with W h + U x + b shares: the drive and its parameters' gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .._types import Array
from ._cell import OuterSum

# Numbers computed at once: what a core's cache holds.
_STRETCH = 1 << 16


@dataclass(frozen=True, eq=False)
class Drive:
    """U x_t + b, or the pair of biases PyTorch keeps. input_weights (P, D), biases name -> (P,)."""

    input_weights: Array | None = None
    biases: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, input_weights: Array | None, size: int, **biases: Array | None) -> Drive:
        """Collect what was given; a single number fills a bias of `size`."""
        given = {name: np.broadcast_to(b, (size,)) for name, b in biases.items() if b is not None}
        return cls(input_weights, given)

    def values(self, inputs: Array | None) -> Array | None:
        """(T, B, P) with inputs (T, B, D), (P,) with biases alone, None with neither."""
        bias = sum(self.biases.values()) if self.biases else None
        if self.input_weights is None or inputs is None:
            return None if bias is None else np.asarray(bias)
        steps, batch, width = inputs.shape
        driven = (inputs.reshape(-1, width) @ self.input_weights.T).reshape(steps, batch, -1)
        if bias is not None:
            driven += bias
        return np.asarray(driven)

    def preactivations(self, weights: Array, states: Array, inputs: Array | None) -> Array:
        """W h + U x + b of all steps at once, (T, B, P), from the states (T, B, N) that they start from."""
        steps, batch, size = states.shape
        found = (states.reshape(-1, size) @ weights.T).reshape(steps, batch, -1)
        pushed = self.values(inputs)
        if pushed is not None:
            found += pushed
        return np.asarray(found)

    def by_steps(self, inputs: Array | None, shape: tuple[int, int, int]) -> Array | DriveByStep | None:
        """The same of given shape for reading step by step; what inputs make of it is computed on the way."""
        if self.input_weights is not None and inputs is not None:
            return DriveByStep(self, inputs)
        values = self.values(None)
        return None if values is None else np.broadcast_to(values, shape)

    def parameter_terms(self, deltas: Array, inputs: Array | None) -> dict[str, OuterSum]:
        """The gradients of U and of each bias."""
        terms = {name: OuterSum(deltas, None) for name in self.biases}
        if self.input_weights is not None and inputs is not None:
            terms["input_weights"] = OuterSum(deltas, inputs)
        return terms


class DriveByStep:
    """A drive computed a few steps before it is read: four gates of all steps would be most of the memory of a run."""

    def __init__(self, drive: Drive, inputs: Array) -> None:
        assert drive.input_weights is not None
        self._drive = drive
        self._inputs = inputs
        self._length = max(1, _STRETCH // (inputs.shape[1] * len(drive.input_weights)))
        self._first = -self._length
        self._values: Array | None = None

    def __getitem__(self, step: int) -> Array:
        if self._values is None or not self._first <= step < self._first + self._length:
            self._first = step - step % self._length
            self._values = self._drive.values(self._inputs[self._first : self._first + self._length])
            assert self._values is not None
        return np.asarray(self._values[step - self._first])
