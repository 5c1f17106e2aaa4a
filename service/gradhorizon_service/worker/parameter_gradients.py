"""Parameter gradients as sums of outer products over steps and sequences, with their scales kept as logarithms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ._types import Array
from .cells import OuterSum

_CHUNK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class ScaledArray:
    """exp(log_scale) * array; entries of the array are at most of order one, or all zero."""

    array: Array
    log_scale: float

    @classmethod
    def of(cls, array: Array, log_scale: float = 0.0) -> ScaledArray:
        """Normalise by the power of two of the largest entry."""
        size = float(np.max(np.abs(array), initial=0.0))
        if size == 0.0:
            return cls(array, 0.0)
        exponent = int(np.frexp(size)[1])
        return cls(np.ldexp(array, -exponent), log_scale + exponent * float(np.log(2.0)))

    @property
    def log_norm(self) -> float:
        """ln of the Euclidean (Frobenius) norm; -inf for zero."""
        norm = float(np.linalg.norm(self.array))
        return self.log_scale + float(np.log(norm)) if norm > 0 else -np.inf

    def plus(self, other: ScaledArray) -> ScaledArray:
        """The sum of both."""
        scale = max((part.log_scale for part in (self, other) if part.array.any()), default=0.0)
        both = [part.array * np.exp(min(part.log_scale - scale, 0.0)) for part in (self, other)]
        return ScaledArray.of(both[0] + both[1], scale)

    def above(self, other: ScaledArray) -> ScaledArray:
        """The rows of both, those of the other below."""
        scale = max((part.log_scale for part in (self, other) if part.array.any()), default=0.0)
        both = [part.array * np.exp(min(part.log_scale - scale, 0.0)) for part in (self, other)]
        return ScaledArray.of(np.concatenate(both), scale)

    def values(self) -> Array | None:
        """The numbers themselves; None where one is not a float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.array * np.exp(self.log_scale)
        return np.asarray(values) if np.isfinite(values).all() else None


def total(term: OuterSum, log_weights: Array) -> ScaledArray:
    """The whole gradient: sum over steps and sequences of exp(log_weights[t, b]) left (x) right."""
    if term.below is not None:
        return total(replace(term, below=None), log_weights).above(total(term.below, log_weights))
    lefts, rights = _log_sizes(term.left), _log_sizes(term.right)
    peak = float(np.max(log_weights + lefts + rights, initial=-np.inf))
    if peak == -np.inf:
        peak, rights = 0.0, np.asarray(-np.inf)
    left = _units(term.left, lefts) * _exp(np.where(np.isneginf(rights), -np.inf, log_weights + lefts - peak))
    if term.right is None:
        return ScaledArray.of(left.sum(axis=(0, 1)), peak)
    if term.elementwise:
        products = np.einsum("tbp,tbp->p", left, term.right)
        if term.shape is not None:
            return ScaledArray.of(products.reshape(term.shape), peak)
        return ScaledArray.of(np.stack([products.real, products.imag], axis=-1), peak)
    flat = left.reshape(-1, left.shape[-1]).T @ term.right.reshape(-1, term.right.shape[-1])
    return ScaledArray.of(flat, peak)


def each(term: OuterSum, log_weights: Array) -> ScaledArray:
    """The terms of an elementwise gradient before they are summed over steps and sequences, (T, B, P)."""
    assert term.right is not None, "an elementwise product has two sides"
    lefts, rights = _log_sizes(term.left), _log_sizes(term.right)
    peak = float(np.max(log_weights + lefts + rights, initial=-np.inf))
    if peak == -np.inf:
        return ScaledArray.of(np.zeros_like(term.left))
    left = _units(term.left, lefts) * _exp(log_weights + lefts + rights - peak)
    return ScaledArray.of(left * _units(term.right, rights), peak)


def log_norms_by_step(term: OuterSum, log_weights: Array) -> Array:
    """ln of the Frobenius norm of each step's part, (T,), from Gram matrices over the batch: no (P, Q) arrays."""
    if len(log_weights) == 0:
        return np.zeros(0)
    if term.below is not None:
        parts = [log_norms_by_step(part, log_weights) for part in (replace(term, below=None), term.below)]
        return 0.5 * np.logaddexp(*(2.0 * part for part in parts))
    lefts, rights = _log_sizes(term.left), _log_sizes(term.right)
    log_sizes = log_weights + lefts + rights
    peaks = np.max(log_sizes, axis=1, keepdims=True)
    peaks = np.where(np.isneginf(peaks), 0.0, peaks)
    left = _units(term.left, lefts) * _exp(log_sizes - peaks)
    squares = []
    for steps in _chunks(term):
        right = None if term.right is None else _units(term.right[steps], rights[steps])
        squares.append(_squares(left[steps], right, term.elementwise))
    with np.errstate(divide="ignore"):
        return np.asarray(peaks[:, 0] + 0.5 * np.log(np.maximum(np.concatenate(squares), 0.0)))


def _log_sizes(vectors: Array | None) -> Array:
    """ln of the largest modulus of each row, (T, B); zero for no vectors.

    States and slopes may lie anywhere in float64, where their squares and products may not.
    """
    if vectors is None:
        return np.zeros(())
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(vectors).max(axis=-1)))


def _units(vectors: Array, log_sizes: Array) -> Array:
    """Rows scaled to order one; zero rows stay as they are."""
    return np.asarray(vectors * _exp(np.where(np.isneginf(log_sizes), 0.0, -log_sizes)))


def _exp(logs: Array) -> Array:
    """One factor a row. Clipped, since infinity times zero is NaN; 1e304 brings any normal number back to order one."""
    return np.asarray(np.exp(np.minimum(logs, 700.0)))[..., None]


def _squares(left: Array, right: Array | None, elementwise: bool) -> Array:
    if right is None:
        return np.asarray(np.sum(left.sum(axis=1) ** 2, axis=-1))
    if elementwise:
        return np.asarray(np.sum(np.abs((left * right).sum(axis=1)) ** 2, axis=-1))
    if left.shape[1] <= min(left.shape[2], right.shape[2]):
        grams = (left @ left.swapaxes(1, 2)) * (right @ right.swapaxes(1, 2))
        return np.asarray(grams.sum(axis=(1, 2)))
    return np.asarray(np.sum((left.swapaxes(1, 2) @ right) ** 2, axis=(1, 2)))


def _chunks(term: OuterSum) -> Iterator[slice]:
    """Slices of steps whose intermediate arrays stay within a few ten megabytes."""
    steps, batch, width = term.left.shape
    right = 1 if term.right is None else term.right.shape[2]
    length = max(1, _CHUNK_ENTRIES // max(1, min(batch * batch, width * right)))
    return (slice(start, start + length) for start in range(0, steps, length))
