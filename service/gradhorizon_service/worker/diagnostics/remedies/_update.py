"""The gradient of all parameters as one vector: what an optimiser's step is made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...parameter_gradients import ScaledArray
from ...statistics import root_sum_of_squares


def log_update(gradients: Mapping[str, ScaledArray]) -> float:
    """ln of its norm; -inf for zero."""
    return float(root_sum_of_squares(np.array([gradient.log_norm for gradient in gradients.values()])))


def update_factor(log_before: float, log_after: float) -> float | None:
    """The ratio of two norms; None where it is not a float64."""
    if not np.isfinite(log_before) or log_after - log_before > 700.0:
        return None
    return float(np.exp(log_after - log_before))
