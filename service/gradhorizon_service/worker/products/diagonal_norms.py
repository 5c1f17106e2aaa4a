"""Norms under powers of a diagonal matrix, or of a normal one in its eigenbasis; no matrix is formed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .._types import Array
from .first_crossing import Crossing
from .levels import Levels, Passages
from .power_norms import Steps, median_over_batch

ComplexOrReal = npt.NDArray[np.complex128] | Array

# Numbers in one temporary array.
_CHUNK = 2**21
# Stretches this short are computed step by step.
_LEAF = 8


def diagonal_log_norms_at(eigenvalues: ComplexOrReal, coefficients: ComplexOrReal, steps: Steps) -> Array:
    """ln norm(L^k v), (len(steps), B), for L = diag(eigenvalues) (m,) and every k of ``steps`` and row v (B, m).

    The logarithm of sum_i abs(lambda_i)^(2k) abs(v_i)^2, halved: every term stays a logarithm until they are
    added.
    """
    modes = _Modes(eigenvalues, coefficients)
    height = max(1, _CHUNK // max(1, coefficients.size))
    chunks = [steps[i : i + height] for i in range(0, len(steps), height)]
    return np.concatenate(
        [modes.log_norms(chunk)[0] for chunk in chunks] or [np.empty((0, len(coefficients)))]
    )


def diagonal_first_crossing(
    eigenvalues: ComplexOrReal, coefficients: ComplexOrReal, depth: int, level_nats: float
) -> Crossing:
    """The first of all steps at which the median growth over the batch leaves the band (-level, level)."""
    alive = (coefficients != 0.0).any(axis=1)
    if depth < 1 or not alive.any():
        return Crossing(None, None)
    modes = _Modes(eigenvalues, coefficients[alive])
    start = modes.log_norms(np.zeros(1, np.int64))[0][0]
    found = _Search(modes, depth, Levels([-level_nats], -1), Levels([level_nats], 1), start).run()
    return Crossing(found.below[0], found.above[0])


def diagonal_first_passages(
    eigenvalues: ComplexOrReal,
    coefficients: ComplexOrReal,
    depth: int,
    below: Sequence[float],
    above: Sequence[float],
) -> Passages:
    """The first of all steps at which the median ln norm(L^k v) itself lies below each level, or above it."""
    start = np.zeros(len(coefficients))
    modes = _Modes(eigenvalues, coefficients)
    return _Search(modes, depth, Levels(below, -1), Levels(above, 1), start).run()


class _Modes:
    """The terms 2 k ln abs(lambda_i) + 2 ln abs(v_i) of the squared norms."""

    def __init__(self, eigenvalues: ComplexOrReal, coefficients: ComplexOrReal) -> None:
        with np.errstate(divide="ignore"):
            rates, self._logs = np.log(np.abs(eigenvalues)), np.log(np.abs(coefficients))
        self._rates = np.where(eigenvalues == 0.0, 0.0, rates)
        # A zero eigenvalue keeps its coordinate at k = 0 and loses it afterwards.
        self._later_logs = np.where(eigenvalues == 0.0, -np.inf, self._logs)

    def log_norms(self, steps: Steps) -> tuple[Array, Array]:
        """ln norms at the steps and their derivatives by k, each (len(steps), B); -inf and 0 for zero vectors."""
        logs = np.where((steps == 0)[:, None, None], self._logs, self._later_logs)
        terms = 2.0 * (steps[:, None, None] * self._rates + logs)
        largest = terms.max(axis=-1)
        shift = np.where(largest > -np.inf, largest, 0.0)
        weights = np.exp(terms - shift[..., None])
        total = weights.sum(axis=-1)
        dead = total == 0.0
        norms = np.log(total, out=np.full(total.shape, -np.inf), where=~dead)
        return 0.5 * (norms + shift), (weights @ self._rates) / np.where(dead, 1.0, total)


class _Search:
    """A walk from step 0 to the depth, remembering what it has found.

    Each log norm is a convex function of k from step 1 on, so that over a stretch it lies below the larger of its
    end values and above the tangents there. Stretches whose bounds pass no level are skipped, the others halved.
    """

    def __init__(self, modes: _Modes, depth: int, below: Levels, above: Levels, start: Array) -> None:
        self._modes = modes
        self._depth = depth
        self._below = below
        self._above = above
        self._start = start

    def run(self) -> Passages:
        """Examine stretches from left to right until every level is met."""
        self._scan(0, min(1, self._depth))
        first, last = self._at(1), self._at(self._depth)
        stack = [(1, first, self._depth, last)]
        while stack and self._depth > 1 and not (self._below.is_met and self._above.is_met):
            left, at_left, right, at_right = stack.pop()
            if self._is_excluded(left, at_left, right, at_right):
                continue
            if right - left <= _LEAF:
                self._scan(left, right)
                continue
            middle = (left + right) // 2
            at_middle = self._at(middle)
            stack += [(middle, at_middle, right, at_right), (left, at_left, middle, at_middle)]
        return Passages(self._below.steps(), self._above.steps())

    def _at(self, step: int) -> tuple[Array, Array]:
        """The log norms against those at the start and their derivatives, each (B,)."""
        logs, slopes = self._modes.log_norms(np.array([step]))
        return logs[0] - self._start, slopes[0]

    def _is_excluded(
        self, left: int, at_left: tuple[Array, Array], right: int, at_right: tuple[Array, Array]
    ) -> bool:
        (low, falling), (high, rising) = at_left, at_right
        if self._above.are_passed_by(median_over_batch(np.maximum(low, high))):
            return False
        if self._below.is_met:
            return True
        # Where the tangents meet, at `ahead` steps from the left; both ends dead or one slope alone need no
        # meeting point.
        has_valley = (falling < 0.0) & (rising > 0.0)
        gap = np.where(has_valley, rising - falling, 1.0)
        rise = np.where(has_valley, high, 0.0) - np.where(has_valley, low, 0.0)
        ahead = (rising * (right - left) - rise) / gap
        valley = np.where(has_valley, low, 0.0) + falling * np.clip(ahead, 0.0, right - left)
        lowest = np.where(has_valley, valley, np.minimum(low, high))
        return not self._below.are_passed_by(median_over_batch(lowest))

    def _scan(self, left: int, right: int) -> None:
        steps = np.arange(left, right + 1)
        medians = median_over_batch(self._modes.log_norms(steps)[0] - self._start)
        self._below.note(medians, left)
        self._above.note(medians, left)
