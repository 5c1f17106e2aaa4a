"""The Kreiss constant: how far the powers of a stable matrix must grow before they decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ._resolvent import Resolvent
from ._scaling import frobenius_norm
from .schur import SchurForm, as_schur

_ANGLES = 13
_LEADING_EIGENVALUES = 8
_RADII = 16
_STARTS = 3
_ROUNDS = 7
_STEPS, _NEXT_STEPS, _FINAL_STEPS = 4, 3, 8  # of Lanczos: on the grid, from vectors nearby, at the end
_SMALLEST_DISTANCE = 1e-9  # abs(z) - 1 keeps seven digits there
_NOISE = 1e-10  # differences of the objective below this are rounding
_STENCIL = np.array([(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])


@dataclass(frozen=True)
class KreissConstant:
    """A lower bound of the Kreiss constant, its natural logarithm, and the point z that proves it.

    Where `value` is None, `reason` says why; `log_value` is then None too unless float64 is all that ended.
    `is_lower_bound` is False where the number is exact.
    """

    value: float | None
    log_value: float | None
    point: complex | None
    is_lower_bound: bool
    reason: str | None


def kreiss_constant(matrix: Array | SchurForm) -> KreissConstant:
    """K(W) = sup over abs(z) > 1 of (abs(z) - 1) norm((z I - W)^-1), from below.

    The Kreiss matrix theorem: K <= sup over k of norm(W^k) <= e N K, so K says without any power being
    formed how high they rise (L. N. Trefethen and M. Embree, Spectra and Pseudospectra, 2005, section 18).
    K = 1 for normal matrices of spectral radius at most 1, and infinite for a radius above 1.

    A coarse grid in (ln(abs(z) - 1), arg z), finer around the leading eigenvalues, gives starting points;
    from the best of them quadratic models climb to local maxima. Every point evaluated is a lower bound; the
    supremum is missed where a narrow peak hides between grid points.
    """
    form = as_schur(matrix)
    radius = float(np.abs(form.eigenvalues).max())
    rounding = 4.0 * float(form.uncertainty.max())
    if radius > 1.0 + rounding:
        return _infinite(f"the spectral radius {radius:.6g} is above 1, so the powers grow without bound")
    if form.normal:
        return KreissConstant(1.0, 0.0, None, is_lower_bound=False, reason=None)
    scan = _Scan(form, radius)
    if radius >= 1.0 - rounding and scan.rises_inwards:
        return _infinite("an eigenvalue of modulus 1 is defective, so the powers grow without bound")
    log_value, point = scan.climbed()
    if log_value <= 0.0:  # (abs(z) - 1) norm((z I - W)^-1) tends to 1 for large z
        return KreissConstant(1.0, 0.0, None, is_lower_bound=True, reason=None)
    try:
        return KreissConstant(math.exp(log_value), log_value, point, is_lower_bound=True, reason=None)
    except OverflowError:
        reason = f"at least 10^{log_value / math.log(10.0):.1f}, which is more than a float64 holds"
        return KreissConstant(None, log_value, point, is_lower_bound=True, reason=reason)


class _Scan:
    """The objective g = ln((abs(z) - 1) norm((z I - T)^-1)) at positions (ln(abs(z) - 1), arg z)."""

    def __init__(self, form: SchurForm, radius: float) -> None:
        self._resolvent = Resolvent(form.triangle)
        size = len(form.triangle)
        nearest = max((1.0 - radius) / (4.0 * size), _SMALLEST_DISTANCE)
        furthest = 10.0 * max(1.0, frobenius_norm(form.triangle))
        self._logs = np.linspace(math.log(nearest), math.log(furthest), _RADII)
        leading = form.eigenvalues[np.argsort(-np.abs(form.eigenvalues))[:_LEADING_EIGENVALUES]]
        self._angles = np.union1d(np.linspace(0.0, math.pi, _ANGLES), np.abs(np.angle(leading)))
        positions = np.stack(np.meshgrid(self._logs, self._angles, indexing="ij"), axis=-1).reshape(-1, 2)
        random = np.random.default_rng(0).standard_normal((2, size, 1))
        start = random[0] + 1j * random[1]
        starts = np.repeat(start / np.linalg.norm(start), len(positions), axis=1)
        values, vectors = self._objective(positions, starts, _STEPS)
        self._values = values.reshape(_RADII, -1)
        self._vectors = vectors.reshape(size, _RADII, -1)

    @property
    def rises_inwards(self) -> bool:
        """Whether the objective still climbs at the innermost radius, which a simple pole does not let it."""
        inner, outer = self._values[0].max(), self._values[1].max()
        climbs = inner - outer > 0.25 * (self._logs[1] - self._logs[0])
        return bool(climbs and inner == self._values.max())

    def climbed(self) -> tuple[float, complex]:
        """The highest value found, and where."""
        centres, windows, vectors = self._peaks()
        for _ in range(_ROUNDS):
            positions = (centres[:, None, :] + _STENCIL * windows[:, None, :]).reshape(-1, 2)
            values, images = self._objective(positions, np.repeat(vectors, 9, axis=1), _NEXT_STEPS)
            values = values.reshape(-1, 9)
            best = values.argmax(axis=1)
            vectors = images.reshape(len(images), -1, 9)[:, np.arange(len(best)), best]
            steps = np.array([_model_step(row) for row in values])
            centres = centres + steps * windows
            centres[:, 0] = np.clip(centres[:, 0], math.log(_SMALLEST_DISTANCE), self._logs[-1])
            windows = np.where(np.abs(steps) < 1.0, 0.4 * windows, windows)
        _, vectors = self._objective(centres, vectors, _FINAL_STEPS)
        points = _points(centres)
        values = centres[:, 0] + self._resolvent.log_lengths(points, vectors)
        highest = int(values.argmax())
        return float(values[highest]), complex(points[highest])

    def _peaks(self) -> tuple[Array, Array, Array]:
        """The highest local maxima along the angles of the grid: positions, spacings there, and vectors."""
        ridge = self._values.max(axis=0)
        sides = np.pad(ridge, 1, constant_values=-np.inf)
        peaks = np.flatnonzero((ridge >= sides[:-2]) & (ridge >= sides[2:]))
        peaks = peaks[np.argsort(-ridge[peaks])[:_STARTS]]
        rows = self._values[:, peaks].argmax(axis=0)
        between = np.diff(self._angles)
        gaps = np.maximum(np.append(between, 0.0), np.append(0.0, between))
        spacing = np.full(len(peaks), self._logs[1] - self._logs[0])
        centres = np.stack([self._logs[rows], self._angles[peaks]], axis=1)
        return centres, np.stack([spacing, gaps[peaks]], axis=1), self._vectors[:, rows, peaks]

    def _objective(self, positions: Array, vectors: Array, steps: int) -> tuple[Array, Array]:
        """The objective at each position, and the vectors reached from the given ones."""
        log_norms, vectors = self._resolvent.log_norms(_points(positions), vectors, steps)
        return positions[:, 0] + log_norms, vectors


def _points(positions: Array) -> Array:
    points: Array = (1.0 + np.exp(positions[:, 0])) * np.exp(1j * positions[:, 1])
    return points


def _model_step(values: Array) -> Array:
    """From nine values around a centre, the step to the maximum of their quadratic model, in stencil units.

    Where the model has no maximum (it is flat along one axis for circular spectra), each axis goes its own
    way.
    """
    grid = values.reshape(3, 3)
    across, along = 0.5 * (grid[2, 1] - grid[0, 1]), 0.5 * (grid[1, 2] - grid[1, 0])
    cross = 0.25 * (grid[2, 2] - grid[2, 0] - grid[0, 2] + grid[0, 0])
    first = grid[2, 1] - 2.0 * grid[1, 1] + grid[0, 1]
    second = grid[1, 2] - 2.0 * grid[1, 1] + grid[1, 0]
    determinant = first * second - cross * cross
    if first < 0.0 and determinant > 0.0:
        joint = np.array([cross * along - second * across, cross * across - first * along]) / determinant
        return np.asarray(np.clip(joint, -1.0, 1.0))
    return np.array([_axis_step(across, first), _axis_step(along, second)])


def _axis_step(slope: float, curvature: float) -> float:
    if max(abs(slope), abs(curvature)) < _NOISE:
        return 0.0
    if curvature < 0.0:
        return min(max(-slope / curvature, -1.0), 1.0)
    return math.copysign(1.0, slope)


def _infinite(reason: str) -> KreissConstant:
    return KreissConstant(None, None, None, is_lower_bound=False, reason=reason)
