"""The first of all steps at which a linear recurrence has shrunk or grown vectors by a given factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._types import Array
from .coordinates import power_coordinates, reached_coordinates
from .deflation import deflated
from .flows import Flow
from .ladders import unit_rows
from .power_norms import krylov_log_norms, median_over_batch

# Every step of the first stretch 2^_HEAD is computed; later ones where bounds cannot exclude a crossing.
_HEAD = 6
# Multiplications after which a search gives up the bounds and keeps to its samples.
_MOST_WORK = 4e10


@dataclass(frozen=True)
class Crossing:
    """Where the median over a batch of ln norm(W^k v) - ln norm(v) first leaves the band (-level, level).

    None where it never does up to the depth. ``certain`` says that every step was computed or excluded by a
    bound, and that the powers of W stayed within the range of float64 relative to their own largest entry.
    """

    decay_step: int | None
    growth_step: int | None
    certain: bool = True


@dataclass(frozen=True, eq=False)
class _State:
    """The batch after some steps: per flow the unit vectors (rows), and the growth of all of them."""

    units: list[Array]
    growth: Array


def first_crossing(matrix: Array, vectors: Array, depth: int, level_nats: float) -> Crossing:
    """The smallest k <= depth with m_k < -level and the smallest with m_k > level; vectors are (B, N).

    m_k is the median over the batch of ln norm(W^k v) - ln norm(v). A stretch of s steps from k is skipped
    where m_k + U and m_(k+s) - U, U >= ln norm(W^i) for all i <= s, stay within the band, and halved where
    they do not; stretches that remain are computed. Modes that no longer matter are left behind on the way.
    Zero vectors have no growth and are left out of the median.
    """
    groups = list(reached_coordinates(matrix, vectors))
    if not groups:
        return Crossing(None, None)
    bases = [power_coordinates(matrix[np.ix_(coordinates, coordinates)], depth) for _, coordinates in groups]
    units = [
        unit_rows(basis.enter(vectors[np.ix_(rows, coordinates)]))[0]
        for basis, (rows, coordinates) in zip(bases, groups, strict=True)
    ]
    state = _State(units, np.zeros(sum(len(rows) for rows in units)))
    return _Search([Flow(basis.ladder) for basis in bases], depth, level_nats).run(state)


class _Search:
    """One walk from step 0 to the depth, remembering what it has found."""

    def __init__(self, flows: list[Flow], depth: int, level: float) -> None:
        self._flows = flows
        self._depth = depth
        self._level = level
        self._decay: int | None = None
        self._growth: int | None = None
        self._certain = True
        self._work = 0.0

    def run(self, state: _State) -> Crossing:
        """Scan the head, then search stretches of doubling length; faded modes are left behind in between."""
        self._scan(0, _HEAD, state)
        done, j = 2**_HEAD, _HEAD
        while not self._is_over(done):
            state = self._without_faded_modes(self._moved(state, j), done)
            rest = (self._depth - done).bit_length()
            if self._shrinks_for_good(state, rest):
                break
            j = rest if self._bounds_stay_useful(rest) else done.bit_length() - 1
            self._search(done, j, state)
            done += 2**j
        resolved = all(flow.ladder.is_resolved for flow in self._flows)
        return Crossing(self._decay, self._growth, self._certain and resolved)

    def _search(self, first: int, j: int, state: _State) -> None:
        """Find the unmet crossings in the stretch of 2^j steps from ``first``, from left to right."""
        stack: list[tuple[int, int, _State, Array | None]] = [(first, j, state, None)]
        while stack:
            k, j, state, right = stack.pop()
            if self._is_over(k):
                return
            if self._decay is None and right is None:
                right = self._moved(state, j).growth
            if self._is_excluded(state, right, j):
                continue
            if j <= self._leaf:
                self._scan_if_affordable(k, j, state, right)
                continue
            middle = self._moved(state, j - 1)
            stack += [(k + 2 ** (j - 1), j - 1, middle, right), (k, j - 1, state, middle.growth)]

    def _is_over(self, done: int) -> bool:
        return done >= self._depth or (self._decay is not None and self._growth is not None)

    def _is_excluded(self, state: _State, right: Array | None, j: int) -> bool:
        """Whether no step of the stretch, its right end included, can be a crossing not met before."""
        bounds = self._per_vector([flow.bound(j) for flow in self._flows], state)
        if self._growth is None and median_over_batch(state.growth + bounds) > self._level:
            return False
        if right is None or self._decay is not None:
            return True
        return bool(median_over_batch(right - bounds) >= -self._level)

    def _shrinks_for_good(self, state: _State, rest: int) -> bool:
        """Whether only growth is looked for and bounds exclude it up to the depth, at the cost of few powers."""
        if self._decay is None:
            return False
        for j in range(rest + 1):
            bounds = self._per_vector([flow.bound(j) for flow in self._flows], state)
            if median_over_batch(state.growth + bounds) > self._level:
                return False
            if all(flow.log_norm(j) <= 0.0 for flow in self._flows):
                return True
        return True

    def _bounds_stay_useful(self, rest: int) -> bool:
        """Whether one search of all that remains will do: nothing can fade, or the bounds are tight."""
        return all(
            (flow.has_schur and flow.is_settled) or all(flow.slack(j) <= 1e-3 for j in range(rest + 1))
            for flow in self._flows
        )

    def _scan_if_affordable(self, k: int, j: int, state: _State, right: Array | None) -> None:
        ends_outside = right is not None and median_over_batch(right) < -self._level
        if self._work < _MOST_WORK or ends_outside:
            self._scan(k, j, state)
        else:
            self._certain = False

    def _scan(self, k: int, j: int, state: _State) -> None:
        """Compute every step from k to k + 2^j and note the first crossings."""
        steps = min(2**j, self._depth - k)
        growth = [
            krylov_log_norms(flow.ladder, units, steps)
            for flow, units in zip(self._flows, state.units, strict=True)
        ]
        medians = median_over_batch(np.concatenate(growth, axis=1) + state.growth)
        if self._decay is None:
            self._decay = _first(medians < -self._level, k)
        if self._growth is None:
            self._growth = _first(medians > self._level, k)
        self._work += steps * sum(
            flow.size * units.size for flow, units in zip(self._flows, state.units, strict=True)
        )

    @property
    def _leaf(self) -> int:
        """Stretches of 2^leaf steps are computed, not halved: calls cost more than small products."""
        size = max(flow.size for flow in self._flows)
        return 6 if size > 64 else 8 if size > 4 else 10

    def _moved(self, state: _State, j: int) -> _State:
        """The state 2^j steps later."""
        units, logs = [], []
        for flow, rows in zip(self._flows, state.units, strict=True):
            rung = flow.ladder.rung(j)
            moved, log = unit_rows(rows @ rung.matrix.T)
            units.append(moved)
            logs.append(log + rung.log_scale)
        return _State(units, state.growth + np.concatenate(logs))

    def _without_faded_modes(self, state: _State, done: int) -> _State:
        units, logs = [], []
        for i, (flow, rows) in enumerate(zip(self._flows, state.units, strict=True)):
            smaller = deflated(flow, rows, done)
            self._flows[i], kept = smaller or (flow, rows)
            kept, log = unit_rows(kept)
            units.append(kept)
            logs.append(log)
        return _State(units, state.growth + np.concatenate(logs))

    def _per_vector(self, values: list[float], state: _State) -> Array:
        return np.repeat(values, [len(rows) for rows in state.units])


def _first(hits: npt.NDArray[np.bool_], offset: int) -> int | None:
    return offset + int(np.argmax(hits)) if hits.any() else None
