"""Progress lost: how much of the descent so far a step undid."""

from __future__ import annotations

import numpy as np

from .._types import Array

LARGEST = 1000.0
"""Stands for everything above it, and for a loss that is no longer finite."""
LEAST_SHARE = 1e-3
"""The share of the first loss that must have been gained before it can be said to be lost."""


def progress_lost(loss: Array, after: Array) -> Array:
    """(K + 1, R): the rise of the loss by the step to theta_k, as a share of the descent before it.

    The descent before it is loss_0 less the lowest loss up to theta_{k-1}. 1 is back at the start, above 1 is worse
    than that, 0 a step that did not raise the loss; NaN where the loss rose and no progress had been made, and where
    the loss before it is not finite. `after` (K + 1, R) is the loss at theta_k of the sequences that theta_{k-1} saw.
    """
    with np.errstate(all="ignore"):
        lowest = np.fmin.accumulate(np.where(np.isfinite(loss), loss, np.inf), axis=0)
        descent = loss[0] - lowest[:-1]
        gained = descent >= LEAST_SHARE * np.abs(loss[0])
        rose = ~(after[1:] <= loss[:-1])
        share = np.minimum((after[1:] - loss[:-1]) / descent, LARGEST)
    share = np.where(np.isfinite(after[1:]), share, LARGEST)
    lost = np.where(rose, np.where(gained & (descent > 0.0), share, np.nan), 0.0)
    lost = np.where(np.isfinite(loss[:-1]), lost, np.nan)
    return np.concatenate([np.zeros((1, loss.shape[1])), lost])


def rises(loss: Array, after: Array) -> Array:
    """(K + 1, R): by how much the step to theta_k raised the loss; infinite where the loss is no longer finite."""
    with np.errstate(all="ignore"):
        rise = np.where(np.isfinite(after[1:]), after[1:] - loss[:-1], np.inf)
    rise = np.where(np.isfinite(loss[:-1]), np.maximum(rise, 0.0), 0.0)
    return np.concatenate([np.zeros((1, loss.shape[1])), rise])
