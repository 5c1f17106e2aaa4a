"""The backward loop over time, written once for every cell.

Vectors are renormalised by powers of two as they go and the scales summed as logarithms, so that neither depth nor
the size of the weights can overflow or underflow a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .cells import Linearisation
from .history import History
from .statistics import log_norms

_LARGE = 1e24  # of squared norms: so near one that weights of 1e290 do not overflow the next product
_SMALL = 1e-24
_LN2 = float(np.log(2.0))

LossGradient = Callable[[int], Array | None]
"""Step t -> gradient (B, S) of the loss term taken there, None where there is none."""


@dataclass(frozen=True, eq=False)
class Backpropagated:
    """Gradients dL/ds_t by lag k = T - t, and of the pre-activations of the step that led to s_t.

    gradients: T + 1 arrays (B, S_t) by lag; deltas: T arrays (B, P_t) by lag; both times exp(log_scales[k, b]).
    log_norms (T + 1, B) are ln ||dL/ds_{T-k}||.
    """

    gradients: Sequence[Array]
    deltas: Sequence[Array]
    log_scales: Array
    log_norms: Array

    def part_log_norms(self, part: slice) -> Array:
        """The same norms for a part of the state, (T + 1, B)."""
        return np.stack([log_norms(g[:, part]) for g in self.gradients]) + self.log_scales

    def truncated(self, window: int) -> Backpropagated:
        """The same with nothing beyond lag `window`: a single loss term under truncated backpropagation."""
        beyond = np.arange(len(self.log_norms))[:, None] > window
        return Backpropagated(
            [g if lag <= window else np.zeros_like(g) for lag, g in enumerate(self.gradients)],
            [d if lag <= window else np.zeros_like(d) for lag, d in enumerate(self.deltas)],
            self.log_scales,
            np.where(beyond, -np.inf, self.log_norms),
        )


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
    with np.errstate(over="ignore", under="ignore"):
        for step in range(steps, 0, -1):
            g, log_scale = record.keep(*_cut(g, log_scale, clip))
            g, delta = linearisation.vjp(step - 1, g)
            record.deltas.append(delta)
            addition = loss_gradient(step - 1) if step > 1 else None
            if addition is not None:
                g, log_scale = _sum(g, log_scale, addition)
        record.keep(*_cut(g, log_scale, clip))
    return record.finished()


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
            terms, log_scales, squares = _renormalised(terms, log_scales)
            common = np.max(log_scales, axis=0, initial=-np.inf, where=squares > 0)
            common = np.where(np.isneginf(common), 0.0, common)
            relative = np.exp(np.minimum(log_scales - common, 0.0))[:, :, None]
            record.keep((terms * relative).sum(axis=0), common, rescale=False)
            if step > 0:
                terms, delta = linearisation.vjp(step - 1, terms)
                record.deltas.append((delta * relative).sum(axis=0))
    return record.finished()


class _Record:
    """What a backward pass leaves behind."""

    def __init__(self, steps: int, batch: int, recurrent: bool) -> None:
        self.deltas = History(steps, recurrent)
        self._gradients = History(steps + 1, recurrent)
        self._log_scales = np.zeros((steps + 1, batch))
        self._squares = np.zeros((steps + 1, batch))
        self._lag = 0

    def keep(self, g: Array, log_scale: Array, rescale: bool = True) -> tuple[Array, Array]:
        """Note the gradient at the next lag, renormalised where it has drifted far from one."""
        if rescale:
            g, log_scale, squares = _renormalised(g, log_scale)
            self._squares[self._lag] = squares
        else:
            self._squares[self._lag] = np.exp(2.0 * log_norms(g))
        self._gradients.append(g)
        self._log_scales[self._lag] = log_scale
        self._lag += 1
        return g, log_scale

    def finished(self) -> Backpropagated:
        with np.errstate(divide="ignore"):
            log_norm = 0.5 * np.log(self._squares) + self._log_scales
        return Backpropagated(self._gradients.values(), self.deltas.values(), self._log_scales, log_norm)


def _renormalised(g: Array, log_scale: Array) -> tuple[Array, Array, Array]:
    """Move a power of two into the scale wherever entries drifted far from one; also the squared norms, (..., B)."""
    squares = np.einsum("...i,...i->...", g, g)
    if squares.min() > _SMALL and squares.max() < _LARGE:
        return g, log_scale, squares
    size = np.abs(g).max(axis=-1)
    exponents = np.where(size > 0, np.frexp(size)[1], 0)
    g = np.ldexp(g, -exponents[..., None])
    return g, log_scale + exponents * _LN2, np.einsum("...i,...i->...", g, g)


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
