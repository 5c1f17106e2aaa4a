"""Slopes along a whole trajectory, where the values are known beside the pre-activations."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .activations import Activation, Tanh

# Numbers at once: what a core's cache holds beside the temporaries.
_BLOCK = 1 << 14
# Down to this slope 1 - tanh(a)^2 is within six roundings, below it cancels.
_CANCELLING = 0.25


def slopes_along(activation: Activation, preactivations: Array, values: Array) -> Array:
    """phi' of (T, ...) pre-activations whose values phi are known; it is written over the pre-activations."""
    stride = max(1, _BLOCK // max(1, preactivations[:1].size))
    for start in range(0, len(preactivations), stride):
        block = preactivations[start : start + stride]
        if isinstance(activation, Tanh):
            block[...] = tanh_slopes(activation, block, values[start : start + stride])
        else:
            block[...] = activation.slope(block)
    return preactivations


def tanh_slopes(tanh: Tanh, a: Array, h: Array) -> Array:
    """Those of h = tanh(a): 1 - h^2 costs a tenth of an exponential, which is taken where that would cancel."""
    slopes = np.multiply(h, h)
    np.subtract(1.0, slopes, out=slopes)
    cancelling = np.flatnonzero(slopes < _CANCELLING)
    if 2 * len(cancelling) > slopes.size:
        return tanh.slope(a)
    if len(cancelling):
        slopes.ravel()[cancelling] = tanh.slope(a.ravel()[cancelling])
    return slopes
