"""Residual updates h' = h + s phi(W h + U x + b): the state is kept whole, and the gradient has a way back around W."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .._types import Array
from ..errors import CannotRun
from .leaky import LeakyCell

_LARGEST = 1e300


def build_residual(*, weights: Array, scale: float = 1.0, **fields: Any) -> LeakyCell:
    """Build from a request's fields: a leaky cell that forgets nothing. Raises CannotRun where s W is no float64."""
    largest = float(np.max(np.abs(weights), initial=0.0))
    if largest > _LARGEST / max(abs(scale), 1.0):
        raise CannotRun(
            "network.scale",
            f"times the largest entry of weights, {largest:.3g}, must stay below {_LARGEST:g}; choose a smaller scale",
        )
    return replace(LeakyCell.build(weights=weights, leak_rate=1.0, **fields), retention=1.0, gain=scale)
