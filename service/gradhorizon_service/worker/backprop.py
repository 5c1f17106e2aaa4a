"""The backward loop over time, written once for every cell.

Vectors are renormalised by powers of two as they go and the scales summed as logarithms, so that neither depth nor
the size of the weights can overflow or underflow a gradient. Sizes are looked at once in a stride of steps, and a stride
that drifted too far from one is taken back to its last good step: the result is the same as with a look at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ._types import Array
from .cells import Linearisation
from .history import History
from .statistics import log_norms

_LARGE = 1e24  # of squared norms: so near one that weights of 1e290 do not overflow the next product
_SMALL = 1.0 / _LARGE
_REACH = math.log(_LARGE)
_LN2 = float(np.log(2.0))
_LONGEST_STRIDE = 64

LossGradient = Callable[[int], Array | None]
"""Step t -> gradient (B, S) of the loss term taken there, None where there is none."""


@dataclass(frozen=True, eq=False)
class Backpropagated:
    """Gradients dL/ds_t by lag k = T - t.

    gradients: T + 1 arrays (B, S_t) by lag, times exp(log_scales[k, b]). log_norms (T + 1, B) are ln ||dL/ds_{T-k}||.
    """

    linearisation: Linearisation
    gradients: Sequence[Array]
    log_scales: Array
    log_norms: Array

    @cached_property
    def deltas(self) -> Sequence[Array]:
        """Gradients of the pre-activations of the step that led to s_t: T arrays (B, P_t) by lag, at the same scales."""
        return self.linearisation.deltas(self.gradients)

    def part_log_norms(self, part: slice) -> Array:
        """The same norms for a part of the state, (T + 1, B)."""
        return np.stack([log_norms(g[:, part]) for g in self.gradients]) + self.log_scales

    def truncated(self, window: int) -> Backpropagated:
        """The same with nothing beyond lag `window`: a single loss term under truncated backpropagation."""
        beyond = np.arange(len(self.log_norms))[:, None] > window
        gradients = [g if lag <= window else np.zeros_like(g) for lag, g in enumerate(self.gradients)]
        return replace(self, gradients=gradients, log_norms=np.where(beyond, -np.inf, self.log_norms))


def backpropagate(
    linearisation: Linearisation,
    steps: int,
    loss_gradient: LossGradient,
    *,
    recurrent: bool = True,
    clip: float | None = None,
) -> Backpropagated:
    """Run the gradient of a loss from s_T back to s_0.

    `loss_gradient(steps)` must have a term. `recurrent` says that all states have one size. With `clip`, every entry
    of the state gradient is cut to [-clip, clip] at every step.
    """
    g = loss_gradient(steps)
    assert g is not None, "a loss has a term at the last step"
    record = _Record(steps, len(g), recurrent)
    log_scale: Array = np.zeros(len(g))
    # invalid: past an overflow inside a stride, infinity meets zero before the stride is taken back.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        g, log_scale = record.keep(*_cut(g, log_scale, clip))
        while record.steps_left > 0:
            stride = record.stride if clip is None else 1
            g, addition = _carried(linearisation, loss_gradient, g, record, stride)
            if addition is not None:
                g, log_scale = _sum(g, log_scale, addition)
            g, log_scale = record.keep(*_cut(g, log_scale, clip))
    return record.finished(linearisation)


def _carried(
    linearisation: Linearisation, loss_gradient: LossGradient, g: Array, record: _Record, stride: int
) -> tuple[Array, Array | None]:
    """Take up to `stride` steps and keep all gradients but the last, which is returned with the loss term it meets.

    Where a gradient before it drifted too far from one, that is the one returned, and what came of it is forgotten.
    """
    addition = None
    last = max(0, record.steps_left - stride)
    for step in range(record.steps_left - 1, last - 1, -1):
        g, _ = linearisation.vjp(step, g)
        addition = loss_gradient(step) if step > 0 else None
        if addition is not None or step == last:
            break
        record.gradients.append(g)
    drifted = record.drifted()
    return (g, addition) if drifted is None else (drifted, None)


def backpropagate_window(
    linearisation: Linearisation, steps: int, loss_gradient: LossGradient, window: int
) -> Backpropagated:
    """The same with every loss term reaching lags up to `window` and no further.

    The terms of the last window + 1 steps travel side by side, and each is dropped when it has reached its last lag.
    """
    first = loss_gradient(steps)
    assert first is not None, "a loss has a term at the last step"
    record = _Record(steps, len(first), True)
    terms: Array = np.zeros((0, *first.shape))
    log_scales: Array = np.zeros((0, len(first)))
    with np.errstate(over="ignore", under="ignore"):
        for step in range(steps, -1, -1):
            addition = loss_gradient(step) if step > 0 else None
            fresh = np.zeros_like(first) if addition is None else addition
            terms = np.concatenate([terms, fresh[None]])[-window - 1 :]
            log_scales = np.concatenate([log_scales, np.zeros((1, len(first)))])[-window - 1 :]
            # Each term has its own scale: the newest may be 400 decades below the oldest, and outlives it.
            terms, log_scales, squares = _renormalised(terms, log_scales, _squares(terms))
            common = np.max(log_scales, axis=0, initial=-np.inf, where=squares > 0)
            common = np.where(np.isneginf(common), 0.0, common)
            relative = np.exp(np.minimum(log_scales - common, 0.0))[:, :, None]
            record.note((terms * relative).sum(axis=0), common)
            if step > 0:
                terms, _ = linearisation.vjp(step - 1, terms)
    return record.finished(linearisation)


class _Record:
    """What a backward pass leaves behind, and how many steps it may take before sizes need another look."""

    def __init__(self, steps: int, batch: int, recurrent: bool) -> None:
        self.gradients = History(steps + 1, recurrent)
        self.stride = 1
        self._steps = steps
        self._log_scales = np.zeros((steps + 1, batch))
        self._squares = np.zeros((steps + 1, batch))
        self._looked = 0
        self._extremes = (0.0, 0.0)

    @property
    def steps_left(self) -> int:
        return self._steps + 1 - len(self.gradients)

    def keep(self, g: Array, log_scale: Array) -> tuple[Array, Array]:
        """Note the gradient at the next lag, renormalised where it has drifted far from one."""
        steps = len(self.gradients) + 1 - self._looked
        squares = _squares(g)
        before, reached = self._extremes, _extremes(squares)
        g, log_scale, squares = _renormalised(g, log_scale, squares)
        self._extremes = _extremes(squares)
        self.stride = _stride(before, reached, self._extremes, steps)
        self._note(g, log_scale, squares)
        return g, log_scale

    def note(self, g: Array, log_scale: Array) -> None:
        """Note the gradient at the next lag as it is."""
        self._note(g, log_scale, np.exp(2.0 * log_norms(g)))

    def _note(self, g: Array, log_scale: Array, squares: Array) -> None:
        lag = len(self.gradients)
        self.gradients.append(g)
        self._log_scales[lag] = log_scale
        self._squares[lag] = squares
        self._looked = lag + 1

    def drifted(self) -> Array | None:
        """Look at the gradients appended since the last look: the first out of the range, taken off the record."""
        start, stop = self._looked, len(self.gradients)
        if start == stop:
            return None
        gradients = self.gradients.values(start=start)
        if isinstance(gradients, np.ndarray):
            squares, fit = _judged(gradients)
        else:
            squares, fit = (np.stack(parts) for parts in zip(*map(_judged, gradients), strict=True))
        self._squares[start:stop] = squares
        self._log_scales[start:stop] = self._log_scales[start - 1]
        if fit.all():
            return None
        first = int(np.argmin(fit.all(axis=1)))
        self.gradients.forget(start + first)
        return gradients[first]

    def finished(self, linearisation: Linearisation) -> Backpropagated:
        with np.errstate(divide="ignore"):
            log_norm = 0.5 * np.log(self._squares) + self._log_scales
        return Backpropagated(linearisation, self.gradients.values(), self._log_scales, log_norm)


def _squares(g: Array) -> Array:
    """Squared norms, (..., B)."""
    return np.asarray(np.einsum("...i,...i->...", g, g))


def _judged(g: Array) -> tuple[Array, Array]:
    """Squared norms, and whether the next product may be taken at this scale: in the range, or exactly zero."""
    squares = _squares(g)
    fit = (squares > _SMALL) & (squares < _LARGE)
    vanished = squares == 0.0
    if vanished.any():
        fit[vanished] = ~g[vanished].any(axis=-1)
    return squares, fit


def _renormalised(g: Array, log_scale: Array, squares: Array) -> tuple[Array, Array, Array]:
    """Move a power of two into the scale wherever entries drifted far from one; also the squared norms, (..., B)."""
    if squares.min() > _SMALL and squares.max() < _LARGE:
        return g, log_scale, squares
    size = np.abs(g).max(axis=-1)
    exponents = np.where(size > 0, np.frexp(size)[1], 0)
    g = np.ldexp(g, -exponents[..., None])
    return g, log_scale + exponents * _LN2, _squares(g)


def _extremes(squares: Array) -> tuple[float, float]:
    """Logarithms of the smallest and the largest squared norm that is not zero."""
    smallest, largest = float(squares.min()), float(squares.max())
    if smallest == 0.0:
        smallest = float(np.min(squares, initial=largest, where=squares > 0.0))
    return (math.log(smallest), math.log(largest)) if smallest > 0.0 else (0.0, 0.0)


def _stride(before: tuple[float, float], reached: tuple[float, float], now: tuple[float, float], steps: int) -> int:
    """How many steps squared norms may go on as they went, `steps` from `before` to `reached`, and stay in range."""
    falling, rising = (before[0] - reached[0]) / steps, (reached[1] - before[1]) / steps
    stride = float(_LONGEST_STRIDE)
    if falling > 0.0:
        stride = min(stride, (now[0] + _REACH) / falling)
    if rising > 0.0:
        stride = min(stride, (_REACH - now[1]) / rising)
    return max(1, int(stride))


def _sum(g: Array, log_scale: Array, addition: Array) -> tuple[Array, Array]:
    """Add unscaled vectors at the scale of the larger of the two, whichever of them is zero."""
    with np.errstate(divide="ignore"):
        carried = np.log(np.abs(g).max(axis=1)) + log_scale
        added = np.log(np.abs(addition).max(axis=1))
    common = np.maximum(carried, added)
    common = np.where(np.isneginf(common), 0.0, common)
    # Clipped, because a zero times an overflowing factor would be NaN.
    total = g * np.exp(np.minimum(log_scale - common, 700.0))[:, None]
    return total + addition * np.exp(np.minimum(-common, 700.0))[:, None], common


def _cut(g: Array, log_scale: Array, clip: float | None) -> tuple[Array, Array]:
    """Cut every entry to [-clip, clip] in true units (Graves 2013); nothing where there is no clipping."""
    if clip is None:
        return g, log_scale
    if clip == 0.0:
        return np.zeros_like(g), np.zeros_like(log_scale)
    log_bound = np.log(clip) - log_scale
    bound = np.exp(np.clip(log_bound, -700.0, 700.0))[:, None]
    # Where the true entries lie beyond float64, every nonzero one is at the bound; the scale is then the bound's own.
    far = (log_bound < -700.0)[:, None]
    cut = np.where(far, np.sign(g), np.clip(g, -bound, bound))
    return cut, np.where(far[:, 0], np.log(clip), log_scale)
