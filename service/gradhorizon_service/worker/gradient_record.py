"""The gradients of a backward pass as they arise: their scales, their norms, and when to look at them again."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .history import History
from .statistics import log_norms

_LARGE = 1e24  # of squared norms: so near one that weights of 1e290 do not overflow the next product
_SMALL = 1.0 / _LARGE
_REACH = math.log(_LARGE)
_LN2 = math.log(2.0)
LONGEST_STRIDE = 64


class GradientRecord:
    """Gradients by lag, each with a power of two of its own that keeps it near one.

    Every gradient may be handed to `keep`. Or those of a stride are appended to `gradients` as they come and `drifted`
    looks at them all at once, which takes the stride back to the first that needed another scale: the same numbers are
    left behind.
    """

    def __init__(self, steps: int, batch: int, recurrent: bool) -> None:
        self.gradients = History(steps + 1, recurrent)
        self._steps = steps
        self._log_scales = np.zeros((steps + 1, batch))
        self._squares = np.zeros((steps + 1, batch))
        self._kept = -1  # the last lag noted by itself
        self._steps_since = 1
        self._before = self._reached = self._now = np.ones(1)

    @property
    def steps_left(self) -> int:
        return self._steps + 1 - len(self.gradients)

    def stride(self) -> int:
        """How many steps squared norms can go at the pace they had before the last was kept, and stay in range."""
        before, reached, now = map(_log_span, (self._before, self._reached, self._now))
        falling = (before[0] - reached[0]) / self._steps_since
        rising = (reached[1] - before[1]) / self._steps_since
        stride = float(LONGEST_STRIDE)
        if falling > 0.0:
            stride = min(stride, (now[0] + _REACH) / falling)
        if rising > 0.0:
            stride = min(stride, (_REACH - now[1]) / rising)
        return max(1, int(stride))

    def keep(self, g: Array, log_scale: Array) -> tuple[Array, Array]:
        """Note the gradient at the next lag, renormalised where it has drifted far from one."""
        self._steps_since = len(self.gradients) - self._kept
        self._before, self._reached = self._now, _squares(g)
        g, log_scale, self._now = _renormalised(g, log_scale, self._reached)
        self._note(g, log_scale, self._now)
        return g, log_scale

    def note(self, g: Array, log_scale: Array) -> None:
        """Note the gradient at the next lag as it is."""
        self._note(g, log_scale, np.exp(2.0 * log_norms(g)))

    def _note(self, g: Array, log_scale: Array, squares: Array) -> None:
        self._kept = len(self.gradients)
        self._log_scales[self._kept] = log_scale
        self._squares[self._kept] = squares
        self.gradients.append(g)

    def drifted(self) -> Array | None:
        """Look at the gradients appended since the last was kept: the first out of range, taken off the record."""
        start, stop = self._kept + 1, len(self.gradients)
        if start == stop:
            return None
        gradients = self.gradients.values(start=start)
        if isinstance(gradients, np.ndarray):
            squares, fit = _judged(gradients)
        else:
            squares, fit = (np.stack(parts) for parts in zip(*map(_judged, gradients), strict=True))
        self._squares[start:stop] = squares
        self._log_scales[start:stop] = self._log_scales[self._kept]
        if fit.all():
            return None
        first = int(np.argmin(fit.all(axis=1)))
        self.gradients.forget(start + first)
        return gradients[first]

    def finished(self) -> tuple[Array, Array]:
        """Log scales and logarithms of the norms, both (T + 1, B)."""
        with np.errstate(divide="ignore"):
            return self._log_scales, 0.5 * np.log(self._squares) + self._log_scales


def renormalised(g: Array, log_scale: Array) -> tuple[Array, Array, Array]:
    """Move a power of two into the scale wherever entries drifted far from one; also the squared norms, (..., B)."""
    return _renormalised(g, log_scale, _squares(g))


def _renormalised(g: Array, log_scale: Array, squares: Array) -> tuple[Array, Array, Array]:
    if squares.min() > _SMALL and squares.max() < _LARGE:
        return g, log_scale, squares
    size = np.abs(g).max(axis=-1)
    exponents = np.where(size > 0, np.frexp(size)[1], 0)
    g = np.ldexp(g, -exponents[..., None])
    return g, log_scale + exponents * _LN2, _squares(g)


def _squares(g: Array) -> Array:
    """Squared norms, (..., B)."""
    return np.asarray(np.einsum("...i,...i->...", g, g))


def _judged(g: Array) -> tuple[Array, Array]:
    """Squared norms, and whether the next product may be taken at this scale: in range, or exactly zero."""
    squares = _squares(g)
    fit = (squares > _SMALL) & (squares < _LARGE)
    vanished = squares == 0.0
    if vanished.any():
        fit[vanished] = ~g[vanished].any(axis=-1)
    return squares, fit


def _log_span(squares: Array) -> tuple[float, float]:
    """Logarithms of the smallest and the largest squared norm that is not zero."""
    smallest, largest = float(squares.min()), float(squares.max())
    if smallest == 0.0:
        smallest = float(np.min(squares, initial=largest, where=squares > 0.0))
    return (math.log(smallest), math.log(largest)) if smallest > 0.0 else (0.0, 0.0)
