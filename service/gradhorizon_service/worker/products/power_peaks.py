"""The largest norm that any power of a matrix reaches on the way to a given depth, and where."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count

import numpy as np

from .._types import Array
from .coordinates import power_coordinates
from .deflation import deflated
from .flows import Flow
from .ladders import ScaledPower, scaled
from .spectral_norms import quick_log_spectral_norm

_HEAD = 6
# Log norms this close count as equal; the earlier step wins.
_TIE = 1e-9
# Multiplications that one stretch may cost before it is left with what its samples have shown.
_MOST_WORK = 1e10


@dataclass(frozen=True)
class PeakNorm:
    """ln of the largest norm2(W^k), k = 0 .. depth, and its k; ``exact`` where no other k can be larger."""

    log_peak: float
    peak_step: int
    exact: bool


def peak_norm(matrix: Array, depth: int) -> PeakNorm:
    """max over k = 0 .. depth of ln norm2(W^k), without computing all powers.

    From a power W^k, the next s steps stay below ln norm(W^k) + U, U >= ln norm(W^i) for i <= s. Stretches of
    steps whose bound is above the largest norm found are halved, the most promising first. Both ends are
    settled at once: a contraction peaks at 0, and where norm(W^depth) is norm(W)^depth, as for normal
    matrices, every norm is that power.
    """
    flow = Flow(power_coordinates(matrix, depth).ladder)
    highest = depth * flow.log_norm(0)
    if highest <= _TIE + depth * 1e-14:
        return PeakNorm(0.0, 0, exact=True)
    last = quick_log_spectral_norm(flow.ladder.power(depth))
    if highest - last <= _tie(highest):
        return PeakNorm(last, depth, exact=True)
    search = _Search(flow, depth)
    search.note(depth, last)
    return search.run()


@dataclass(frozen=True, eq=False)
class _Point:
    """A frame of rows whose 2-norm is that of W^step, after ``step`` steps."""

    step: int
    frame: ScaledPower
    log_norm: float


class _Search:
    """A walk over stretches of steps that remembers the largest norm."""

    def __init__(self, flow: Flow, depth: int) -> None:
        self._flow = flow
        self._depth = depth
        self._best, self._best_step = 0.0, 0
        self._exact = True

    def run(self) -> PeakNorm:
        """Search stretches of doubling length, leaving faded modes behind between them."""
        point, j = _Point(0, scaled(np.eye(self._flow.size)), 0.0), _HEAD
        while point.step < self._depth and not self._never_rises_again(point):
            self._search(point, j)
            point = self._without_faded_modes(self._moved(point, j))
            j = point.step.bit_length() - 1
        return PeakNorm(self._best, self._best_step, self._exact and self._flow.ladder.is_resolved)

    def note(self, step: int, log_norm: float) -> None:
        """Remember a norm if it is the largest so far, or as large and earlier."""
        gain = log_norm - self._best
        if step <= self._depth and (
            gain > _tie(log_norm) or (gain > -_tie(log_norm) and step < self._best_step)
        ):
            self._best, self._best_step = log_norm, step

    def _search(self, first: _Point, j: int) -> None:
        """Examine the steps up to 2^j after ``first``, always halving the stretch with the highest bound."""
        order, work = count(), 0.0
        heap: list[tuple[float, int, int, _Point]] = []

        def push(point: _Point, j: int) -> None:
            upper = point.log_norm + self._flow.bound(j)
            if j > 0 and point.step < self._depth and upper > self._best + _tie(self._best):
                heapq.heappush(heap, (-upper, next(order), j, point))

        push(first, j)
        while heap:
            upper, _, j, point = heapq.heappop(heap)
            if -upper <= self._best + _tie(self._best):
                return
            if work > _MOST_WORK:
                self._exact = False
                return
            if j <= self._leaf:
                self._scan(point, j)
            else:
                push(point, j - 1)
                push(self._moved(point, j - 1), j - 1)
            products = 2**j - 1 if j <= self._leaf else 1
            work += float(products * point.frame.matrix.size * self._flow.size)

    def _scan(self, start: _Point, j: int) -> None:
        """Note the 2^j - 1 steps after ``start`` whose Frobenius norms allow for a new largest norm."""
        powers, scales = (series[:-1] for series in self._flow.first_powers(j))
        frames = start.frame.matrix @ powers.swapaxes(-1, -2)
        with np.errstate(divide="ignore"):
            bounds = np.log(np.linalg.norm(frames, axis=(-2, -1))) + scales + start.frame.log_scale
        for i in np.argsort(-bounds).tolist():
            if bounds[i] <= self._best:
                return
            log_scale = float(scales[i]) + start.frame.log_scale
            self.note(start.step + 1 + i, quick_log_spectral_norm(ScaledPower(frames[i], 0)) + log_scale)

    def _moved(self, point: _Point, j: int) -> _Point:
        """The point 2^j steps later, noted."""
        rung = self._flow.ladder.rung(j)
        frame = scaled(point.frame.matrix @ rung.matrix.T, point.frame.exponent + rung.exponent)
        moved = _Point(point.step + 2**j, frame, quick_log_spectral_norm(frame))
        self.note(moved.step, moved.log_norm)
        return moved

    def _never_rises_again(self, point: _Point) -> bool:
        """Whether the bounds exclude a larger norm up to the depth, at the cost of few powers."""
        for j in range((self._depth - point.step).bit_length() + 1):
            if point.log_norm + self._flow.bound(j) > self._best + _tie(self._best):
                return False
            if self._flow.log_norm(j) <= 0.0:
                return True
        return True

    def _without_faded_modes(self, point: _Point) -> _Point:
        smaller = deflated(self._flow, point.frame.matrix, point.step, jointly=True)
        if smaller is None:
            return point
        self._exact = self._exact and self._flow.ladder.is_resolved
        self._flow, rows = smaller
        frame = scaled(np.asarray(np.linalg.qr(rows, mode="r")), point.frame.exponent)
        return _Point(point.step, frame, point.log_norm)

    @property
    def _leaf(self) -> int:
        """Stretches of 2^leaf steps are computed in one go: as many as fit in a few numbers."""
        return max(1, min(10, 17 - 2 * self._flow.size.bit_length()))


def _tie(log_norm: float) -> float:
    """How far apart two log norms of this size may be and still count as equal."""
    return _TIE + 1e-12 * abs(log_norm)
