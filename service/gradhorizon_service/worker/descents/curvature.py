"""How much the loss bends along a step: the exact second derivative, by one gradient in dual numbers."""

from __future__ import annotations

import numpy as np

from .._types import Array
from .network import Data, Network
from .parameters import Layout

_TINY = 1e-100
"""Its square is zero beside any gradient, and a derivative times it is still far from underflow."""


def curvature_along(
    network: Network, layout: Layout, parameters: Array, data: Data, direction: Array
) -> Array:
    """u^T H u of every run, (R,), for the unit vector u along `direction` (R, n); NaN where there is no direction.

    The gradient at theta + i e u is grad + i e H u: exact to rounding, whatever the magnitude, where a difference of
    two gradients loses half of the digits and needs a distance that suits the curvature. `parameters` are cast to
    float64 first.
    """
    theta, step = parameters.astype(np.float64), direction.astype(np.float64)
    with np.errstate(all="ignore"):
        scale = np.abs(step).max(axis=1, keepdims=True)
        u = step / scale
        u /= np.sqrt(np.einsum("rn,rn->r", u, u))[:, None]
        found = network.gradients(layout.views(theta + 1j * (_TINY * u)), data.cast(np.float64))
        bent = layout.flat(found.parameters).imag / _TINY
        curvature = np.einsum("rn,rn->r", bent, u)
    return np.where(np.isfinite(curvature), curvature, np.nan)
