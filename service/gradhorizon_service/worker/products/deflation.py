"""Leaving modes behind: a flow restricted to the eigenvalues that still matter after many steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from .._types import Array
from .flows import Flow
from .ladders import PowerLadder, scaled

# A mode may leave once it has shrunk by exp(-37), 1e-16, beside the largest.
_FADED = 37.0
# What leaves may change a norm by this much, relatively, then and at any later step.
_NEGLIGIBLE = 1e-11
_LARGEST_COUPLING = 1e8


@dataclass(frozen=True, eq=False)
class _Split:
    """Z^T A Z = [[A11, A12], [0, A22]] of the scaled matrix A, and A11 X - X A22 = A12, which decouples it."""

    frame: Array
    leading: Array
    trailing: Array
    coupling: Array

    def parts(self, rows: Array) -> tuple[Array, Array]:
        """For every row y and g = Z^T y: z1 = g1 + X g2, which A11 moves, and g2, which A22 moves."""
        rotated = rows @ self.frame
        leading, trailing = np.split(rotated, [len(self.leading)], axis=1)
        return leading + trailing @ self.coupling.T, trailing


def deflated(flow: Flow, rows: Array, steps: int, *, jointly: bool = False) -> tuple[Flow, Array] | None:
    """The flow of the leading modes alone and the rows in its coordinates; None if that could change norms.

    ``steps`` is how many steps the rows have behind them. The part left out is compared, for all time, with
    the part along the left eigenvector u of the spectral radius: norm(A^i y) >= rho^i abs(u^T y). The
    comparison is made for every row, or ``jointly`` for the norm of the whole frame.
    """
    radius = flow.moduli.max()
    keep = flow.moduli > radius * math.exp(-_FADED / steps)
    if radius == 0.0 or keep.mean() > 0.8:
        return None
    split = _split(flow, keep)
    if split is None:
        return None
    kept, left_out = split.parts(rows)
    leading = scaled(split.leading, flow.ladder.rung(0).exponent)
    smaller = Flow(
        PowerLadder(leading.matrix, leading.exponent), (leading.matrix, np.eye(len(leading.matrix)))
    )
    growth = Flow(PowerLadder(split.trailing / radius)).bound_forever()
    size = (1.0 + np.linalg.norm(split.coupling)) * math.exp(min(growth, 700.0))
    lost, felt = size * np.linalg.norm(left_out, axis=1), np.abs(kept @ _leading_left_eigenvector(smaller))
    if jointly:
        lost, felt = np.linalg.norm(lost), np.linalg.norm(felt)
    return (smaller, kept) if np.all(lost <= _NEGLIGIBLE * felt) else None


def _split(flow: Flow, keep: Array) -> _Split | None:
    form, frame = flow.real_schur
    form, frame, *_, info = lapack.dtrsen(
        keep.astype(np.int32), form, frame, job="N", wantq=1, lwork=flow.size, liwork=1
    )
    if info:
        return None
    m = int(keep.sum())
    leading, trailing = form[:m, :m], form[m:, m:]
    coupling, scale, info = lapack.dtrsyl(leading, trailing, form[:m, m:], isgn=-1)
    if info or scale == 0.0 or not np.abs(coupling).max() < _LARGEST_COUPLING * scale:
        return None
    return _Split(frame, leading, trailing, coupling / scale)


def _leading_left_eigenvector(flow: Flow) -> Array:
    values, vectors = flow.left_eigenvectors
    return vectors[:, np.argmax(np.abs(values))]
