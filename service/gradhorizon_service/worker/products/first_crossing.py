"""The first of all steps at which a linear recurrence has shrunk or grown vectors past given levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .coordinates import power_coordinates, reached_coordinates
from .deflation import deflated
from .flows import Flow
from .ladders import unit_rows
from .levels import Levels, Passages
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

    m_k is the median over the batch of ln norm(W^k v) - ln norm(v). Zero vectors have no growth and are left
    out of the median.
    """
    found = _passages(matrix, vectors, depth, [-level_nats], [level_nats], relative=True)
    return Crossing(found.below[0], found.above[0], found.certain)


def first_passages(
    matrix: Array, vectors: Array, depth: int, below: Sequence[float], above: Sequence[float]
) -> Passages:
    """The smallest k <= depth with m_k below each level, or above it, m_k the median of ln norm(W^k v) itself."""
    return _passages(matrix, vectors, depth, below, above, relative=False)


def _passages(
    matrix: Array,
    vectors: Array,
    depth: int,
    below: Sequence[float],
    above: Sequence[float],
    relative: bool,
) -> Passages:
    """Walk once for all levels.

    A stretch of s steps from k is skipped where m_k + U and m_(k+s) - U, U >= ln norm(W^i) for all i <= s, pass
    no level not met before, and halved where they do; stretches that remain are computed. Modes that no longer
    matter are left behind on the way.
    """
    groups = list(reached_coordinates(matrix, vectors))
    if not groups:
        return Passages((None,) * len(below), (None,) * len(above))
    bases = [power_coordinates(matrix[np.ix_(coordinates, coordinates)], depth) for _, coordinates in groups]
    entered = [
        unit_rows(basis.enter(vectors[np.ix_(rows, coordinates)]))
        for basis, (rows, coordinates) in zip(bases, groups, strict=True)
    ]
    logs = np.concatenate([log for _, log in entered])
    state = _State([units for units, _ in entered], np.zeros(len(logs)) if relative else logs)
    search = _Search([Flow(basis.ladder) for basis in bases], depth, Levels(below, -1), Levels(above, 1))
    return search.run(state)


class _Search:
    """One walk from step 0 to the depth, remembering what it has found."""

    def __init__(self, flows: list[Flow], depth: int, below: Levels, above: Levels) -> None:
        self._flows = flows
        self._depth = depth
        self._below = below
        self._above = above
        self._certain = True
        self._work = 0.0

    def run(self, state: _State) -> Passages:
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
        return Passages(self._below.steps(), self._above.steps(), self._certain and resolved)

    def _search(self, first: int, j: int, state: _State) -> None:
        """Find the unmet levels in the stretch of 2^j steps from ``first``, from left to right."""
        stack: list[tuple[int, int, _State, Array | None]] = [(first, j, state, None)]
        while stack:
            k, j, state, right = stack.pop()
            if self._is_over(k):
                return
            if not self._below.is_met and right is None:
                right = self._moved(state, j).growth
            if self._is_excluded(state, right, j):
                continue
            if j <= self._leaf:
                self._scan_if_affordable(k, j, state, right)
                continue
            middle = self._moved(state, j - 1)
            stack += [(k + 2 ** (j - 1), j - 1, middle, right), (k, j - 1, state, middle.growth)]

    def _is_over(self, done: int) -> bool:
        return done >= self._depth or (self._below.is_met and self._above.is_met)

    def _is_excluded(self, state: _State, right: Array | None, j: int) -> bool:
        """Whether no step of the stretch, its right end included, can pass a level not met before."""
        bounds = self._per_vector([flow.bound(j) for flow in self._flows], state)
        if self._above.are_passed_by(median_over_batch(state.growth + bounds)):
            return False
        return right is None or not self._below.are_passed_by(median_over_batch(right - bounds))

    def _shrinks_for_good(self, state: _State, rest: int) -> bool:
        """Whether only growth is looked for and bounds exclude it up to the depth, at the cost of few powers."""
        if not self._below.is_met:
            return False
        for j in range(rest + 1):
            bounds = self._per_vector([flow.bound(j) for flow in self._flows], state)
            if self._above.are_passed_by(median_over_batch(state.growth + bounds)):
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
        ends_outside = right is not None and self._below.are_passed_by(median_over_batch(right))
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
        self._below.note(medians, k)
        self._above.note(medians, k)
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
