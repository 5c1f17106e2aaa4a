"""Chains of step Jacobians, seen only through their products with frames of column vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from .._types import Array
from .compression import compressed, rounding_errors

__all__ = [
    "Array",
    "DenseFactors",
    "Factors",
    "KnownDeterminants",
    "Repeated",
    "Reversed",
    "RowScaled",
    "Shifted",
    "sequence_of",
    "square_core",
]


class Factors(Protocol):
    """The square step Jacobians J_1 .. J_T of a batch of sequences, offered as products, never as T dense
    matrices.

    Steps are counted from 0 here: step 0 is J_1, the one applied first. Frames have shape (B, N, m) and
    results are fresh arrays of that shape; where ``batch`` is 1, all sequences share the Jacobians and frames
    may have any B.
    """

    @property
    def steps(self) -> int:
        """T, the number of factors."""
        ...

    @property
    def size(self) -> int:
        """N, the side of every factor."""
        ...

    @property
    def batch(self) -> int:
        """B, the number of sequences with Jacobians of their own; 1 where all share them."""
        ...

    def times(self, step: int, frames: Array) -> Array:
        """J V for every sequence."""
        ...

    def transpose_times(self, step: int, frames: Array) -> Array:
        """J^T V for every sequence."""
        ...

    def dense(self, step: int) -> Array:
        """J as a fresh (B, N, N) array."""
        ...


@runtime_checkable
class Separable(Protocol):
    """Factors that can be taken apart by sequence without a dense Jacobian."""

    def sequence(self, index: int) -> Factors:
        """The factors of one sequence of the batch."""
        ...


@runtime_checkable
class KnownDeterminants(Protocol):
    """Factors whose structure gives their determinants away."""

    def log_abs_dets(self) -> Array:
        """ln abs det J_t, (T, B); -inf where a Jacobian is singular."""
        ...


class GradedChain(Factors, Protocol):
    """Factors in coordinates of their own, in which rows keep apart what differs by orders of magnitude."""

    def in_state_coordinates(self, step: int, frames: Array) -> Array:
        """Frames that have come through so many steps, in the coordinates of the state."""
        ...


@runtime_checkable
class Gradable(Protocol):
    """Factors that know such coordinates, which are those of the state before the first step."""

    def graded(self, *, closed: bool) -> GradedChain:
        """The chain in them; `closed`, with one more factor that leads back, so that the product is the same."""
        ...


class DenseFactors:
    """Explicit Jacobians: a tensor (T, N, N) that all sequences share, or (T, B, N, N)."""

    def __init__(self, tensor: Array) -> None:
        self.tensor = tensor if tensor.ndim == 4 else tensor[:, None]
        self.steps, self.batch, self.size, _ = self.tensor.shape

    def sequence(self, index: int) -> DenseFactors:
        return DenseFactors(self.tensor[:, index : index + 1])

    def times(self, step: int, frames: Array) -> Array:
        product: Array = self.tensor[step] @ frames
        return product

    def transpose_times(self, step: int, frames: Array) -> Array:
        product: Array = self.tensor[step].swapaxes(-1, -2) @ frames
        return product

    def dense(self, step: int) -> Array:
        matrices: Array = self.tensor[step].copy()
        return matrices


class RowScaled:
    """J_t = diag(d_t) W with slopes d of shape (T, B, N): networks that apply an activation to W h + ..."""

    def __init__(self, matrix: Array, slopes: Array) -> None:
        self.matrix = matrix
        self.slopes = slopes
        self.steps, self.batch, self.size = slopes.shape

    def sequence(self, index: int) -> RowScaled:
        return RowScaled(self.matrix, self.slopes[:, index : index + 1])

    def times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix @ frames
        product *= self.slopes[step][:, :, None]
        return product

    def transpose_times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix.T @ (self.slopes[step][:, :, None] * frames)
        return product

    def dense(self, step: int) -> Array:
        matrices: Array = self.slopes[step][:, :, None] * self.matrix
        return matrices


class Shifted:
    """J_t = c I + diag(d_t) W with slopes d of shape (T, B, N): networks that keep a share of their state."""

    def __init__(self, matrix: Array, slopes: Array, shift: float) -> None:
        self.matrix = matrix
        self.slopes = slopes
        self.shift = shift
        self.steps, self.batch, self.size = slopes.shape

    def sequence(self, index: int) -> Shifted:
        return Shifted(self.matrix, self.slopes[:, index : index + 1], self.shift)

    def times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix @ frames
        product *= self.slopes[step][:, :, None]
        product += self.shift * frames
        return product

    def transpose_times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix.T @ (self.slopes[step][:, :, None] * frames)
        product += self.shift * frames
        return product

    def dense(self, step: int) -> Array:
        matrices: Array = self.slopes[step][:, :, None] * self.matrix
        matrices[:, range(self.size), range(self.size)] += self.shift
        return matrices


class Repeated:
    """J_t = W at every step: a linear recurrence."""

    batch = 1

    def __init__(self, matrix: Array, steps: int) -> None:
        self.matrix = matrix
        self.steps = steps
        self.size = len(matrix)

    def times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix @ frames
        return product

    def transpose_times(self, step: int, frames: Array) -> Array:
        product: Array = self.matrix.T @ frames
        return product

    def dense(self, step: int) -> Array:
        return self.matrix[None].copy()


class Reversed:
    """The transposed product J_1^T .. J_T^T as a chain: its step 0 is J_T^T."""

    def __init__(self, factors: Factors) -> None:
        self._factors = factors
        self.steps, self.batch, self.size = factors.steps, factors.batch, factors.size

    def times(self, step: int, frames: Array) -> Array:
        return self._factors.transpose_times(self.steps - 1 - step, frames)

    def transpose_times(self, step: int, frames: Array) -> Array:
        return self._factors.times(self.steps - 1 - step, frames)

    def dense(self, step: int) -> Array:
        return self._factors.dense(self.steps - 1 - step).swapaxes(-1, -2).copy()


def product(matrices: Array, frames: Array) -> Array:
    """J V for stacks of matrices and frames, in that order in memory, by rows or by columns, which V has."""
    if frames.strides[-2] < frames.strides[-1]:
        by_columns: Array = frames.swapaxes(-1, -2) @ matrices.swapaxes(-1, -2)
        return by_columns.swapaxes(-1, -2)
    by_rows: Array = matrices @ frames
    return by_rows


def sequence_of(factors: Factors, index: int) -> Factors:
    """The factors of one sequence of the batch."""
    if factors.batch == 1:
        return factors
    return factors.sequence(index) if isinstance(factors, Separable) else _OneSequence(factors, index)


class _OneSequence:
    """One sequence of factors that only know their products for the whole batch."""

    batch = 1

    def __init__(self, factors: Factors, index: int) -> None:
        self._factors, self._index = factors, index
        self.steps, self.size = factors.steps, factors.size

    def times(self, step: int, frames: Array) -> Array:
        return self.dense(step) @ frames

    def transpose_times(self, step: int, frames: Array) -> Array:
        return self.dense(step).swapaxes(-1, -2) @ frames

    def dense(self, step: int) -> Array:
        return self._factors.dense(step)[self._index : self._index + 1]


def square_core(tensors: Sequence[Array]) -> Factors:
    """Reduce a rectangular chain to a square one with the same nonzero singular values of the product.

    ``tensors[t]`` is J_{t+1} of shape (N_{t+1}, N_t) or (B, N_{t+1}, N_t). From the narrowest place, n wide,
    thin factorisations run outwards, J_t F_{t-1} = F_t C_t for A = J_T .. J_{p+1} and likewise for the
    transpose of B = J_p .. J_1; the last frames give up their R. What is left, n x n, differs from A B by
    orthonormal frames only. Directions that a factor annihilates become rows of exact zeros.
    """
    chain = [tensor if tensor.ndim == 3 else tensor[None] for tensor in tensors]
    widths = [chain[0].shape[-1], *(tensor.shape[-2] for tensor in chain)]
    batch = max(tensor.shape[0] for tensor in chain)
    if len(set(widths)) == 1:
        return DenseFactors(np.stack([np.broadcast_to(J, (batch, *J.shape[1:])) for J in chain]))
    place = int(np.argmin(widths))
    cores = [_square_core([J[min(b, len(J) - 1)] for J in chain], place, widths[place]) for b in range(batch)]
    return DenseFactors(np.stack(cores, axis=1))


def _square_core(chain: Sequence[Array], place: int, size: int) -> Array:
    """The square factors of one sequence, (steps, n, n)."""
    before = _outward([J.T for J in reversed(chain[:place])], size)
    after = _outward(chain[place:], size)
    return np.stack([*(core.T for core in reversed(before)), *after])


def _outward(chain: Sequence[Array], size: int) -> list[Array]:
    """The cores C_t of a chain that starts at its narrowest side, and the R of its last frame, all (n, n)."""
    if not chain:
        return []
    frame, cores = np.eye(size), []
    for J in chain:
        kept = compressed(J @ frame, rounding_errors(J, frame, max(J.shape)))
        frame = kept.frame
        cores.append(_padded(kept.core, size))
    return [*cores, _padded(np.asarray(np.linalg.qr(frame, mode="r")), size)]


def _padded(core: Array, size: int) -> Array:
    rows, columns = core.shape
    return np.pad(core, ((0, size - rows), (0, size - columns)))
