"""How large and how small the numbers of a matrix may be."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .errors import CannotRun

LARGEST_ENTRY = 1e300
"""Beyond, norms leave float64; entries below its inverse have lost digits before anything is computed."""


def in_range(matrix: Array, path: str, what: str = "entry") -> Array:
    """Refuse numbers the largest of which is next to where float64 ends."""
    largest = float(np.max(np.abs(matrix), initial=0.0))
    if not largest <= LARGEST_ENTRY or 0.0 < largest < 1.0 / LARGEST_ENTRY:
        raise CannotRun(
            path,
            f"its largest {what} is {largest:.3g}; it must be zero, or lie between {1.0 / LARGEST_ENTRY:g} and "
            f"{LARGEST_ENTRY:g}, so rescale it",
        )
    return matrix
