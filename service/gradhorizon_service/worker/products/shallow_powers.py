"""All powers of one small matrix up to a small depth, side by side: cheaper than any search.

The powers W^0 .. W^T are built by doubling, each with a power of two of its own as its scale, in a handful of stacked
products. Norms at every lag, the peak and the whole transport then follow without further ado.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..statistics import log_norms
from .power_peaks import PeakNorm
from .transport_norms import TransportPeak

_MOST_NUMBERS = 1 << 17
_LN2 = float(np.log(2.0))
_SAFETY = 8.0
# ln of what an image may be beside the entries of about one that made it; float64 ends at e^-708.
_LEAST = -600.0
_TIE = 1e-9


def is_shallow(size: int, depth: int) -> bool:
    """Whether all powers of an N x N matrix up to the depth are few enough numbers to keep."""
    return size * size * (depth + 1) <= _MOST_NUMBERS


@dataclass(frozen=True, eq=False)
class ShallowPowers:
    """W^k = 2^exponents[k] matrices[k] for k = 0..T; matrices (T + 1, N, N) with entries at most one, or zero."""

    matrices: Array
    exponents: Array

    @classmethod
    def of(cls, matrix: Array, depth: int) -> ShallowPowers:
        """Build the powers 0..depth."""
        size = len(matrix)
        matrices, exponents = np.eye(size)[None], np.zeros(1, dtype=np.int64)
        rung, exponent = _scaled(matrix[None], np.zeros(1, dtype=np.int64))
        while len(matrices) <= depth:
            count = min(len(matrices), depth + 1 - len(matrices))
            following, grown = _scaled(matrices[:count] @ rung[0], exponents[:count] + exponent[0])
            matrices, exponents = np.concatenate([matrices, following]), np.concatenate([exponents, grown])
            rung, exponent = _scaled(rung @ rung, exponent + exponent)
        return cls(matrices, exponents)

    def transposed(self) -> ShallowPowers:
        """The powers of W^T."""
        return ShallowPowers(self.matrices.swapaxes(1, 2), self.exponents)

    def log_norms(self, vectors: Array) -> Array | None:
        """ln ||W^k v|| for k = 0..T and every row v of vectors (B, N): (T + 1, B).

        None where an image lies so far below the largest entry of its power that it may have vanished beside it.
        """
        largest = np.abs(vectors).max(axis=1)
        safe = np.where(largest > 0, largest, 1.0)
        moved = log_norms((self.matrices @ (vectors / safe[:, None]).T).swapaxes(1, 2))
        alive = self.matrices.any(axis=(1, 2))
        if np.any(moved[alive][:, largest > 0] < _LEAST):
            return None
        with np.errstate(divide="ignore"):
            return np.asarray(moved + np.log(largest) + self.exponents[:, None] * _LN2)

    @cached_property
    def _log_frobenius(self) -> Array:
        with np.errstate(divide="ignore"):
            logs = 0.5 * np.log(np.einsum("kij,kij->k", self.matrices, self.matrices))
        return np.asarray(logs + self.exponents * _LN2)

    @cached_property
    def peak(self) -> PeakNorm:
        """The largest 2-norm of a power; only powers whose Frobenius norm could hold it are looked at."""
        bounds = self._log_frobenius
        least = max(0.0, float(bounds.max()) - 0.5 * float(np.log(self.matrices.shape[1])))
        candidates = np.flatnonzero(bounds >= least - _TIE)
        grams = self.matrices[candidates].swapaxes(1, 2) @ self.matrices[candidates]
        with np.errstate(divide="ignore"):
            logs = 0.5 * np.log(np.maximum(np.linalg.eigvalsh(grams)[:, -1], 0.0))
        logs = logs + self.exponents[candidates] * _LN2
        highest = float(logs.max(initial=0.0))
        if highest <= _TIE:
            return PeakNorm(0.0, 0, exact=True)
        first = int(np.flatnonzero(logs >= highest - _TIE)[0])
        return PeakNorm(float(logs[first]), int(candidates[first]), exact=True)

    @cached_property
    def transport_peak(self) -> TransportPeak:
        """The whole transport W^T with the peak on the way.

        Rounding of W^T is bounded by the sum over k of ||W^(T-k)|| eps ||W^k||.
        """
        scale = self.exponents[-1] * _LN2
        with np.errstate(divide="ignore"):
            logs = np.log(np.linalg.svd(self.matrices[-1], compute_uv=False)) + scale
        paths = self._log_frobenius + self._log_frobenius[::-1]
        floor = float(np.logaddexp.reduce(paths)) + float(np.log(_SAFETY * np.finfo(float).eps))
        return TransportPeak(
            np.array([self.peak.log_peak]),
            np.array([self.peak.peak_step]),
            logs[:1],
            logs[None],
            np.array([floor]),
        )


def _scaled(matrices: Array, exponents: Array) -> tuple[Array, Array]:
    """Move the power of two of each largest entry into the exponents."""
    shift = np.frexp(np.abs(matrices).max(axis=(1, 2)))[1].astype(np.int64)
    halves = -(shift // 2)
    scaled = matrices * np.ldexp(1.0, halves)[:, None, None] * np.ldexp(1.0, -shift - halves)[:, None, None]
    return scaled, exponents + shift
