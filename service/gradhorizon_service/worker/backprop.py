"""The backward loop over time, written once for every cell.

Vectors are renormalised by powers of two as they go and the scales summed as logarithms, so that neither depth nor
the size of the weights can overflow or underflow a gradient. Where nothing is added or cut, sizes are looked at once
in a stride of steps: a look costs as much as several steps of a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ._types import Array
from .cells import Linearisation
from .gradient_record import LONGEST_STRIDE, GradientRecord, renormalised
from .statistics import log_norms_by_step

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
        """Gradients of the pre-activations of the step that led to s_t: T arrays (B, P_t) by lag, at those scales."""
        return self.linearisation.deltas(self.gradients)

    def part_log_norms(self, part: slice) -> Array:
        """The same norms for a part of the state, (T + 1, B)."""
        return log_norms_by_step(self.gradients, part) + self.log_scales

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
    record = GradientRecord(steps, len(g), recurrent)
    log_scale: Array = np.zeros(len(g))
    # invalid: past an overflow inside a stride, infinity meets zero before the stride is taken back.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        g, log_scale = record.keep(*_cut(g, log_scale, clip))
        addition = None
        while record.steps_left > 0:
            stride = 1 if clip is not None else record.stride() if addition is None else LONGEST_STRIDE
            g, addition = _carried(linearisation, loss_gradient, g, record, stride)
            if addition is not None:
                g, log_scale = _sum(g, log_scale, addition)
            g, log_scale = record.keep(*_cut(g, log_scale, clip))
    return Backpropagated(linearisation, record.gradients.values(), *record.finished())


def _carried(
    linearisation: Linearisation, loss_gradient: LossGradient, g: Array, record: GradientRecord, stride: int
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
    record = GradientRecord(steps, len(first), True)
    terms: Array = np.zeros((0, *first.shape))
    log_scales: Array = np.zeros((0, len(first)))
    with np.errstate(over="ignore", under="ignore"):
        for step in range(steps, -1, -1):
            addition = loss_gradient(step) if step > 0 else None
            fresh = np.zeros_like(first) if addition is None else addition
            terms = np.concatenate([terms, fresh[None]])[-window - 1 :]
            log_scales = np.concatenate([log_scales, np.zeros((1, len(first)))])[-window - 1 :]
            # Each term has its own scale: the newest may be 400 decades below the oldest, and outlives it.
            terms, log_scales, squares = renormalised(terms, log_scales)
            common = np.max(log_scales, axis=0, initial=-np.inf, where=squares > 0)
            common = np.where(np.isneginf(common), 0.0, common)
            relative = np.exp(np.minimum(log_scales - common, 0.0))[:, :, None]
            record.note((terms * relative).sum(axis=0), common)
            if step > 0:
                terms, _ = linearisation.vjp(step - 1, terms)
    return Backpropagated(linearisation, record.gradients.values(), *record.finished())


def _sum(g: Array, log_scale: Array, addition: Array) -> tuple[Array, Array]:
    """Add unscaled vectors at the scale of the larger of the two, whichever of them is zero."""
    if not log_scale.any():
        return g + addition, log_scale
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
