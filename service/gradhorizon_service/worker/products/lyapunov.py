"""Lyapunov exponents of a chain of step Jacobians: rates of growth, in nats per step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.linalg import lapack

from .._types import Array
from .companion import Companion
from .coordinates import eigenvalue_moduli, quasi_triangular
from .determinants import log_determinant
from .factors import Factors, Gradable, GradedChain, KnownDeterminants, Repeated, RowScaled
from .gauges import gauge_for
from .ladders import scaled
from .lu_gauges import LuGauge, log, log_diagonals
from .perturbed import Perturbed

# A seventh of the steps would align generic frames better; a tenth leaves more of them to the average.
_TRANSIENT_SHARE = 10
# Exponents count as converged within this many nats, or this share of their size.
_TOLERANCE = 0.01
_RELATIVE_TOLERANCE = 0.02
# Fewer blocks say nothing about the error of their mean.
_FEWEST_BLOCKS = 5
# Every block ends with a QR factorisation, which costs as much as several steps.
_STEPS_A_BLOCK = 10
# A small matrix with entries up to 1 and a determinant above exp(-25) is regular; others are looked at one by
# one.
_SMALL = 16
_CHUNK = 2**14
_SURELY_REGULAR = -25.0
# Pivots that span no more than this are no rounding errors.
_UNSUSPICIOUS = 1e-9
# Directions that rounding moves by less than this share of the worst are not among those that it mixes.
_SHARE_OF_WORST = 1e-3
# Sums within rounding of zero are zero.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Exponents (B, k) in nats per step, largest first, -inf for null directions, and how far to trust them.

    ``standard_errors`` (B, k) come from the means of ``blocks`` blocks of steps; infinite, with
    ``error_reason``, where there is one block only. They hold the ``rounding_errors`` (B, k): how far exponents
    moved in a second run whose products were off by one more rounding each, made where pivots of single steps
    span so much that rounding may have cost the smallest directions; zero elsewhere. ``converged`` (B,) is true
    where at least five blocks give every finite exponent a standard error below 0.01 nats or 2 % of its size.
    ``steps`` were averaged after ``transient`` steps that aligned the frames and were discarded.
    ``sum_of_exponents`` (B,), over the k given, equals ``mean_log_abs_det`` (B,) where k is the ``size`` N; the
    latter comes from LU factorisations of the Jacobians, and is None where k is so much smaller that these
    would be most of the work.
    """

    size: int
    exponents: Array
    standard_errors: Array
    rounding_errors: Array
    converged: Array
    sum_of_exponents: Array
    mean_log_abs_det: Array | None
    transient: int
    steps: int
    blocks: int
    algorithm: str
    error_reason: str | None


def lyapunov_exponents(
    factors: Factors, *, leading: int | None = None, blocks: int = 20, transient: int | None = None
) -> LyapunovSpectrum:
    """The N exponents of every sequence, or the ``leading`` ones.

    A frame with a fixed-seed random orthogonal start is carried along; the logarithms of its QR factors'
    diagonals, summed over a block of steps and divided by their number, are the block's exponents (Benettin
    et al. 1980). The start must not be the identity, which triangular factors leave where it is. By default a
    tenth of the steps is discarded.
    """
    if isinstance(factors, Repeated):
        return exponents_of_repeated(factors.matrix, leading)
    columns = min(leading or factors.size, factors.size)
    discarded = min(
        factors.steps // _TRANSIENT_SHARE if transient is None else transient, max(0, factors.steps - 1)
    )
    edges = discarded + _edges(factors.steps - discarded, blocks)
    chain = factors.graded(closed=False) if isinstance(factors, Gradable) else None
    carried: Factors = factors if chain is None else chain
    march = _March(carried, columns)
    sums = march.sums(chain, edges)
    rounding = np.zeros(sums.shape[1:])
    if march.is_delicate:
        rounding = _rounding(sums, _March(Perturbed(carried), columns).sums(chain, edges))
    determinant = None
    if 4 * columns > factors.size or isinstance(factors, RowScaled | Companion | KnownDeterminants):
        determinant = _mean_log_abs_det(factors, discarded)
        if columns == factors.size:
            sums = _annihilated(sums, np.isneginf(determinant))
    return _spectrum(
        sums, np.diff(edges), factors.size, determinant, discarded, march.algorithm, rounding=rounding
    )


def _rounding(sums: Array, others: Array) -> Array:
    """How far the sums over all blocks (B, k) are from those of a run that differs by rounding alone.

    Rounding moves growth from one small direction to another: all that are no larger than the largest one moved
    share the error of the worst.
    """
    totals, moved = sums.sum(axis=0), others.sum(axis=0)
    known = np.isfinite(totals) & np.isfinite(moved)
    errors = np.abs(np.where(known, moved, 0.0) - np.where(known, totals, 0.0))
    worst = errors.max(axis=1, keepdims=True)
    largest = np.where(errors > _SHARE_OF_WORST * worst, totals, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(np.where(totals <= largest + worst, worst, errors))


def _annihilated(sums: Array, singular: Array) -> Array:
    """Sums (blocks, B, N) whose least direction is lost where a step is `singular`, (B,), and no pivot showed it.

    Rounding may leave the pivot of a null direction just above what the gauges take for nothing.
    """
    overall = sums.sum(axis=0)
    unseen = np.flatnonzero(singular & np.isfinite(overall).all(axis=1))
    sums[0, unseen, overall[unseen].argmin(axis=1)] = -np.inf
    return sums


def uncoupled_exponents(
    logs: Array, leading: int | None, algorithm: str, *, blocks: int = 20
) -> LyapunovSpectrum:
    """The exponents of diagonal Jacobians from the logarithms (T, B, N) of their moduli: means over all steps.

    Nothing has to align, so that nothing is discarded.
    """
    edges = _edges(len(logs), blocks)
    sums = np.add.reduceat(logs, edges[:-1], axis=0)
    determinant = logs.sum(axis=2).mean(axis=0)
    return _spectrum(sums, np.diff(edges), logs.shape[2], determinant, 0, algorithm, leading)


def _edges(steps: int, blocks: int) -> Array:
    """Where the blocks of steps begin and end."""
    count = max(1, min(blocks, steps, max(_FEWEST_BLOCKS, steps // _STEPS_A_BLOCK)))
    return np.linspace(0, steps, count + 1).round().astype(int)


def exponents_of_repeated(matrix: Array, leading: int | None = None) -> LyapunovSpectrum:
    """The exponents of h_t = W h_{t-1}: ln of the moduli of W's eigenvalues, for any number of steps."""
    first = scaled(matrix)
    moduli = np.sort(eigenvalue_moduli(quasi_triangular(first.matrix)[0]))[::-1]
    # An eigenvalue that should be zero is computed as rounding: as many are zero as directions vanish in one
    # step.
    sums = LuGauge(Repeated(first.matrix, 1), _start(1, len(matrix), len(matrix))).advance(0, 1)
    alive = len(matrix) - int(np.isneginf(sums).sum())
    logs = log(np.where(np.arange(len(matrix)) < alive, moduli, 0.0)) + first.log_scale
    determinant = np.array([_log_abs_det(matrix)])
    return replace(exact_spectrum(logs, leading), mean_log_abs_det=determinant, algorithm="eigenvalues of W")


def exact_spectrum(logs: Array, leading: int | None = None) -> LyapunovSpectrum:
    """A spectrum known in closed form, from all N exponents in descending order."""
    exponents = logs[None, :leading]
    return LyapunovSpectrum(
        size=len(logs),
        exponents=exponents,
        standard_errors=np.zeros_like(exponents),
        rounding_errors=np.zeros_like(exponents),
        converged=np.array([True]),
        sum_of_exponents=exponents.sum(axis=1),
        mean_log_abs_det=logs.sum(keepdims=True),
        transient=0,
        steps=0,
        blocks=0,
        algorithm="closed form",
        error_reason=None,
    )


def kaplan_yorke_dimension(exponents: Array) -> float | None:
    """The dimension j + (lambda_1 + .. + lambda_j) / abs(lambda_(j+1)), j the most exponents with a sum >= 0.

    ``exponents`` (N,) is the full spectrum, largest first (Kaplan and Yorke 1979). None where the largest is
    not positive, and where all together sum to more than zero: then volumes grow, and no set is left that
    could have a dimension.
    """
    sums = np.cumsum(exponents)
    if len(sums) == 0 or exponents[0] <= _ROUNDING or sums[-1] > _ROUNDING:
        return None
    j = int(np.flatnonzero(sums >= -_ROUNDING)[-1]) + 1
    if j == len(sums) or exponents[j] == -np.inf:
        return float(j)
    return float(j + max(0.0, sums[j - 1]) / abs(exponents[j]))


class _March:
    """Frames on their way through the factors, and which of their directions have been annihilated."""

    def __init__(self, factors: Factors, columns: int) -> None:
        self._lost = np.zeros((factors.batch, columns), dtype=bool)
        self._gauge = gauge_for(factors, _start(factors.batch, factors.size, columns))
        self.algorithm = self._gauge.name
        self.is_delicate = False

    def sums(self, chain: GradedChain | None, edges: Array) -> Array:
        """The sums (blocks, B, columns) over the blocks between the edges, in the coordinates of the state."""
        self.advance(0, edges[0])
        at_first = self.stretched(chain, edges[0])
        sums = np.array([self.advance(first, last) for first, last in pairwise(edges)])
        sums[0] -= at_first
        sums[-1] += self.stretched(chain, edges[-1])
        return sums

    def advance(self, first: int, last: int) -> Array:
        """The sums (B, columns) of logarithms over the steps first .. last - 1; -inf for lost directions."""
        sums = np.zeros(self._lost.shape)
        kept = self._gauge.frames.shape[2]
        if last > first and kept:
            sums[:, :kept] = self._gauge.advance(first, last)
            self.is_delicate |= self._gauge.is_delicate
        self._lost |= np.isneginf(sums)
        self._drop(int((~self._lost).any(axis=0).sum()))
        return np.where(self._lost, -np.inf, sums)

    def stretched(self, chain: GradedChain | None, step: int) -> Array:
        """What the frames' ln abs diag R gain on the way into the coordinates of the state, (B, columns)."""
        gained = np.zeros(self._lost.shape)
        frames = self._gauge.frames
        if chain is not None and step > 0 and frames.shape[2]:
            own, in_state = log_diagonals(frames), log_diagonals(chain.in_state_coordinates(step, frames))
            gained[:, : frames.shape[2]] = in_state - own
        return gained

    def _drop(self, kept: int) -> None:
        """Carry on with the columns that some sequence still has: a random start loses the last ones first."""
        if kept < self._gauge.frames.shape[2] and not self._lost[:, :kept].all(axis=0).any():
            self._gauge = self._gauge.narrowed(kept)


def _start(batch: int, size: int, columns: int) -> Array:
    """The same random orthonormal frame for every sequence; fewer columns are the first of more."""
    frame = np.linalg.qr(np.random.default_rng(20).standard_normal((size, size))[:, :columns])[0]
    return np.tile(frame, (batch, 1, 1))


def _mean_log_abs_det(factors: Factors, first: int) -> Array:
    """The mean of ln abs det J_t over the steps from ``first`` on, (B,); -inf where one is singular."""
    if first == factors.steps:
        return np.zeros(factors.batch)
    if isinstance(factors, Companion):
        return np.broadcast_to(_mean_log_abs_det(factors.corner, first), (factors.batch,))
    if isinstance(factors, Repeated):
        return np.array([_log_abs_det(factors.matrix)])
    if isinstance(factors, RowScaled):
        slopes = log(np.abs(factors.slopes[first:])).sum(axis=2).mean(axis=0)
        return np.asarray(slopes + _log_abs_det(factors.matrix))
    if isinstance(factors, KnownDeterminants):
        return np.asarray(factors.log_abs_dets()[first:].mean(axis=0))
    height = max(1, _CHUNK // (factors.batch * factors.size**2))
    chunks = [range(t, min(t + height, factors.steps)) for t in range(first, factors.steps, height)]
    logs = [_log_abs_dets(np.array([factors.dense(step) for step in chunk])) for chunk in chunks]
    return np.asarray(np.concatenate(logs).mean(axis=0))


def _log_abs_dets(matrices: Array) -> Array:
    """ln abs det of a stack (.., N, N)."""
    size = matrices.shape[-1]
    if size <= _SMALL:
        logs = np.linalg.slogdet(matrices)[1]
        if np.all(logs > size * log(np.abs(matrices).max(axis=(-2, -1))) + _SURELY_REGULAR):
            return np.asarray(logs)
    flat = [_log_abs_det(matrix) for matrix in matrices.reshape(-1, size, size)]
    return np.reshape(flat, matrices.shape[:-2])


def _log_abs_det(matrix: Array) -> float:
    """ln abs det: from one plain LU where its pivots leave no doubt, a third of the work of looking closely."""
    pivots = np.abs(np.diagonal(lapack.dgetrf(matrix)[0]))
    if pivots.min() > _UNSUSPICIOUS * pivots.max():
        return float(np.log(pivots).sum())
    value = log_determinant(matrix)
    return -np.inf if value is None else value


def _spectrum(
    sums: Array,
    lengths: Array,
    size: int,
    determinant: Array | None,
    transient: int,
    algorithm: str,
    leading: int | None = None,
    rounding: Array | None = None,
) -> LyapunovSpectrum:
    """Statistics of the sums (blocks, B, k) over blocks of the given lengths, for the `leading` exponents of them.

    `rounding` (B, k): what rounding may have added to or taken from the sums over all blocks.
    """
    steps, blocks = int(lengths.sum()), len(lengths)
    exponents = sums.sum(axis=0) / max(steps, 1)
    known = np.isfinite(exponents)
    errors = np.where(known, np.inf, 0.0)
    if blocks > 1:
        rates = np.where(known, sums, 0.0) / lengths[:, None, None]
        errors = rates.std(axis=0, ddof=1) / np.sqrt(blocks)
    if rounding is None:
        rounding = np.zeros(exponents.shape)
    rounding = rounding / max(steps, 1)
    order = np.argsort(-exponents, axis=1, kind="stable")[:, :leading]
    rounding, errors = np.take_along_axis(rounding, order, 1), np.hypot(errors, rounding)
    exponents, errors = np.take_along_axis(exponents, order, 1), np.take_along_axis(errors, order, 1)
    tolerance = np.maximum(_TOLERANCE, _RELATIVE_TOLERANCE * np.abs(exponents))
    return LyapunovSpectrum(
        size=size,
        exponents=exponents,
        standard_errors=errors,
        rounding_errors=rounding,
        converged=np.all(errors <= tolerance, axis=1) & (blocks >= _FEWEST_BLOCKS),
        sum_of_exponents=exponents.sum(axis=1),
        mean_log_abs_det=determinant,
        transient=transient,
        steps=steps,
        blocks=blocks,
        algorithm=algorithm,
        error_reason=None if blocks > 1 else "one block of steps has no scatter to take an error from",
    )
