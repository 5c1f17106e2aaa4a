"""What enters a recurrence: the inputs of every step and the state before the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ._types import Array
from .block_diagonal import BlockDiagonal
from .eigenmodes import eigenmodes
from .errors import CannotRun


class Inputs(Protocol):
    """Sequences x_1..x_T."""

    @property
    def batch(self) -> int:
        """B."""
        ...

    def build(self, steps: int) -> Array:
        """Return (steps, B, D)."""
        ...


@dataclass(frozen=True, eq=False)
class GivenInputs:
    """values (B, T, D), burn-in steps first."""

    values: Array

    @property
    def batch(self) -> int:
        return len(self.values)

    def build(self, steps: int) -> Array:
        return np.ascontiguousarray(np.swapaxes(self.values, 0, 1)[:steps])


@dataclass(frozen=True, eq=False)
class GaussianInputs:
    """Independent normal entries."""

    std: float
    batch: int
    width: int
    seed: int

    def build(self, steps: int) -> Array:
        return self.std * np.random.default_rng(self.seed).standard_normal((steps, self.batch, self.width))


@dataclass(frozen=True, eq=False)
class ZeroInputs:
    """No signal."""

    batch: int
    width: int

    def build(self, steps: int) -> Array:
        return np.zeros((steps, self.batch, self.width))


class InitialState(Protocol):
    """The state before the first step."""

    def build(self, batch: int, size: int, matrix: Array | BlockDiagonal | None) -> Array:
        """Return (B, N)."""
        ...


@dataclass(frozen=True, eq=False)
class GivenState:
    """values (N,) for every sequence, or (B, N); one number fills a row."""

    values: Array

    def build(self, batch: int, size: int, matrix: Array | BlockDiagonal | None) -> Array:
        return np.array(np.broadcast_to(self.values, (batch, size)))


@dataclass(frozen=True, eq=False)
class GaussianState:
    """Independent normal entries; `unit` scales every row to norm one."""

    std: float
    seed: int
    unit: bool = False

    def build(self, batch: int, size: int, matrix: Array | BlockDiagonal | None) -> Array:
        rows = np.random.default_rng(self.seed).standard_normal((batch, size))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if self.unit else self.std * rows


@dataclass(frozen=True, eq=False)
class EigenvectorState:
    """The unit eigenvector of W with the index-th largest eigenvalue in modulus; its real part where complex.

    It is h; whatever else the state holds is zero.
    """

    index: int

    def build(self, batch: int, size: int, matrix: Array | BlockDiagonal | None) -> Array:
        if matrix is None:
            raise CannotRun("initial_state", "an eigenvector needs a cell with a recurrent matrix")
        if isinstance(matrix, BlockDiagonal):
            vector = _diagonal_mode(matrix, self.index)
        else:
            vector = _real_direction(eigenmodes(matrix).right[:, self.index])
        h = vector / np.linalg.norm(vector)
        return np.tile(np.pad(h, (0, size - len(h))), (batch, 1))


def _diagonal_mode(blocks: BlockDiagonal, index: int) -> Array:
    order = np.argsort(-np.abs(blocks.eigenvalues), kind="stable")
    vector = np.zeros(blocks.size)
    vector[order[index]] = 1.0
    return vector


def _real_direction(vector: Array) -> Array:
    """The real part of an eigenvector, turned first so that the real part is as large as it can be."""
    turned = vector * np.exp(-0.5j * np.angle(np.sum(vector**2)))
    return np.asarray(turned.real)
