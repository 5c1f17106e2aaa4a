"""The largest norm of the transport over the lags, and singular values as far as plain products resolve them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._types import Array
from .coordinates import power_coordinates
from .factors import Factors, Repeated
from .ladders import LN2, ScaledPower, scaled
from .power_peaks import PeakNorm, peak_norm
from .powers import power
from .spectral_norms import LARGE, quick_log_spectral_norm

Lags = npt.NDArray[np.int64]

_EPS = float(np.finfo(np.float64).eps)
# Columns that carry a sample of the rounding errors along.
_PROBES = 4
# Samples of the errors are taken this many times, so that few are larger.
_SAFETY = 8.0
# Products are rescaled when their entries leave 2^-100 .. 2^100: norms square them, and factors may bring
# 1e200.
_SCALE_RANGE = 100
# Factors beyond meet products of order one.
_HUGE = 1e200


@dataclass(frozen=True, eq=False)
class TransportPeak:
    """How large the transport gets over the lags, and what is left of it at the last, for every sequence.

    ``log_peak`` (B,) is the largest ln norm2(J_T .. J_{T-k+1}) over the lags k = 0 .. T, ``peak_lag`` the
    first k that has it, ``log_norm`` the value at k = T. ``log_singular_values`` (B, N), descending, are
    those of the product as computed; each has an absolute error of up to about exp(``log_floor``), so that
    those near or below it mean nothing.
    """

    log_peak: Array
    peak_lag: Lags
    log_norm: Array
    log_singular_values: Array
    log_floor: Array


def transport_peak(factors: Factors) -> TransportPeak:
    """Multiply the factors from the last to the first and watch the norm.

    Products are powers of two times matrices of moderate size. Frobenius norms bound 2-norms from above: only
    where they exceed the largest 2-norm so far is the latter computed. One product of matrices a step and
    sequence; repeated factors are squared instead.
    """
    if isinstance(factors, Repeated):
        return transport_of_power(factors.matrix, factors.steps, peak_norm(factors.matrix, factors.steps))
    march = _March(factors)
    for step in reversed(range(factors.steps)):
        march.multiply(step)
    return march.result()


class _March:
    """The transposed partial product J_{T-k+1}^T .. J_T^T of every sequence, and a sample of its errors."""

    def __init__(self, factors: Factors) -> None:
        batch, self._size = factors.batch, factors.size
        self._factors = factors
        self._lag = 0
        self._columns = np.tile(np.eye(self._size, self._size + _PROBES), (batch, 1, 1))
        self._exponents = np.zeros(batch, np.int64)
        self._norms = np.full(batch, np.sqrt(self._size))
        self._peak = np.zeros(batch)
        self._peak_lag = np.zeros(batch, np.int64)
        self._generator = np.random.default_rng(0)

    def multiply(self, step: int) -> None:
        """Take in one more factor and note the norm where it is the largest so far.

        A Jacobian may leave float64 where no state does: gates multiply weights of 1e200 with each other.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = _frobenius_norms(self._factors.dense(step))
        if not np.isfinite(sizes).all():
            raise OverflowError(f"the Jacobian of step {step + 1} is no float64")
        if sizes.max() > _HUGE:
            self._rescale(range_=1)
        error = _EPS * self._norms * sizes
        self._columns = self._factors.transpose_times(step, self._columns)
        self._lag += 1
        self._add_errors(error)
        self._rescale()
        self._note_peak()

    def result(self) -> TransportPeak:
        """What has been seen, with the singular values of the full product."""
        errors = np.linalg.norm(self._columns[:, :, self._size :], axis=(1, 2)) * np.sqrt(
            self._size / _PROBES
        )
        with np.errstate(divide="ignore"):
            logs = np.log(np.linalg.svd(self._frames, compute_uv=False)) + self._log_scale[:, None]
            floor = np.log(_SAFETY * errors) + self._log_scale
        return TransportPeak(self._peak, self._peak_lag, logs[:, 0], logs, floor)

    @property
    def _frames(self) -> Array:
        return self._columns[:, :, : self._size]

    @property
    def _log_scale(self) -> Array:
        return self._exponents * LN2

    def _add_errors(self, norms: Array) -> None:
        """Sample the rounding errors of one product, given their Frobenius norm."""
        probes = self._columns[:, :, self._size :]
        probes += self._generator.standard_normal(probes.shape) * (norms / self._size)[:, None, None]

    def _rescale(self, range_: int = _SCALE_RANGE) -> None:
        """Keep the Frobenius norms, and move them into the exponents where they leave 2^-range .. 2^range."""
        norms = _frobenius_norms(self._frames)
        shift = np.frexp(norms)[1].astype(np.int64)
        shift[np.abs(shift) < range_] = 0
        self._norms = np.ldexp(norms, -shift)
        if shift.any():
            # In two halves, because 2^1074 is no float64.
            self._columns *= np.ldexp(1.0, -(shift // 2))[:, None, None]
            self._columns *= np.ldexp(1.0, shift // 2 - shift)[:, None, None]
            self._exponents += shift

    def _note_peak(self) -> None:
        with np.errstate(divide="ignore"):
            bounds = np.log(self._norms) + self._log_scale
        rows = np.flatnonzero(bounds > self._peak)
        norms = self._log_norms(rows)
        # Orthogonal factors tie at every lag but for rounding; the first lag wins.
        higher = norms > self._peak[rows] + _EPS * self._size * self._lag
        self._peak[rows[higher]] = norms[higher]
        self._peak_lag[rows[higher]] = self._lag

    def _log_norms(self, rows: npt.NDArray[np.intp]) -> Array:
        """ln norm2 of the products of the sequences in ``rows``, none of them zero."""
        frames = self._frames[rows]
        if self._size < LARGE:
            largest = np.linalg.eigvalsh(frames.swapaxes(1, 2) @ frames)[:, -1]
            return 0.5 * np.log(largest) + self._log_scale[rows]
        return (
            np.array([quick_log_spectral_norm(ScaledPower(frame, 0)) for frame in frames])
            + self._log_scale[rows]
        )


def transport_of_power(matrix: Array, steps: int, peak: PeakNorm) -> TransportPeak:
    """The same for J_t = W at every step, by squaring; a noisy second computation shows the errors.

    ``peak`` is `peak_norm(matrix, steps)`, which the caller may have for other reasons.
    """
    product, noisy = power(matrix, steps), _noisy_power(matrix, steps)
    difference = product.matrix - np.ldexp(noisy.matrix, max(-3000, noisy.exponent - product.exponent))
    with np.errstate(divide="ignore"):
        logs = np.log(np.linalg.svd(product.matrix, compute_uv=False)) + product.log_scale
        floor = np.log(_SAFETY * np.linalg.norm(difference)) + product.log_scale
    return TransportPeak(
        np.array([peak.log_peak]), np.array([peak.peak_step]), logs[:1], logs[None], np.array([floor])
    )


def _noisy_power(matrix: Array, p: int) -> ScaledPower:
    """W^p with random errors of the size of rounding in every product, and in W where it is reduced."""
    generator = np.random.default_rng(0)

    def product(left: ScaledPower, right: ScaledPower) -> ScaledPower:
        noise = (
            _EPS * (np.abs(left.matrix) @ np.abs(right.matrix)) * generator.standard_normal(left.matrix.shape)
        )
        return scaled(left.matrix @ right.matrix + noise, left.exponent + right.exponent)

    coordinates = power_coordinates(matrix, p)
    if coordinates.frame is not None:
        noise = _EPS * np.sqrt(len(matrix)) * generator.standard_normal(matrix.shape)
        coordinates = power_coordinates(matrix * (1.0 + noise), p)
    result, rung = scaled(np.eye(len(matrix))), coordinates.ladder.rung(0)
    for j in range(p.bit_length()):
        if p >> j & 1:
            result = product(result, rung)
        rung = product(rung, rung)
    return ScaledPower(coordinates.leave(coordinates.leave(result.matrix).T).T, result.exponent)


def _frobenius_norms(matrices: Array) -> Array:
    """Frobenius norms of a stack of matrices, scaled first where their squares leave float64."""
    with np.errstate(over="ignore"):
        norms: Array = np.sqrt(np.einsum("bij,bij->b", matrices, matrices))
    odd = np.flatnonzero(~((norms > 1e-140) & (norms < np.inf)))
    if len(odd):
        largest = np.abs(matrices[odd]).max(axis=(1, 2))
        safe = np.where(largest > 0.0, largest, 1.0)
        norms[odd] = largest * np.linalg.norm(matrices[odd] / safe[:, None, None], axis=(1, 2))
    return norms
