"""Every singular value of W^T: from the Schur form, at a cost that T does not change, or factor by factor."""

from __future__ import annotations

import numpy as np

from .._types import Array
from .decoupling import scalar_products, uncoupled_groups
from .factors import Repeated
from .power_attempts import evaluated_power
from .singular_values import LogSingularValues, collected, exactly, log_singular_values, merged

# Seconds that going factor by factor may take where the Schur form leaves a doubt.
_AFFORDABLE = 1.5


def singular_values_of_repeated(matrix: Array, steps: int) -> LogSingularValues:
    """ln sigma of W^T, (1, N), by whichever way is cheaper, or by both where the first leaves a doubt."""
    by_factors = _seconds_by_factors(len(matrix), steps)
    if by_factors <= _seconds_by_schur(len(matrix)):
        return log_singular_values(Repeated(matrix, steps))
    values = log_singular_values_of_power(matrix, steps)
    if values.reliable.all() or by_factors > _AFFORDABLE:
        return values
    alternative = log_singular_values(Repeated(matrix, steps))
    return min(alternative, values, key=lambda one: (not one.reliable.all(), one.estimated_error.max()))


def _seconds_by_factors(size: int, steps: int) -> float:
    """About 30 microseconds a step and five products of N x N matrices."""
    return steps * (30e-6 + 3e-10 * size**3)


def _seconds_by_schur(size: int) -> float:
    """About a millisecond and a hundred products."""
    return 1e-3 + 1e-8 * size**3


def log_singular_values_of_power(matrix: Array, exponent: int) -> LogSingularValues:
    """ln sigma of W^T, (1, N), -inf for the dimensions that W^T has lost."""
    if exponent == 0:
        return exactly(np.zeros((1, len(matrix))), "identity")
    return merged(
        [_of_group(matrix, exponent, group) for group in uncoupled_groups(Repeated(matrix, exponent))]
    )


def _of_group(matrix: Array, exponent: int, group: Array) -> LogSingularValues:
    """The values of uncoupled components (c, k), all of size k."""
    if group.shape[1] == 1:
        return exactly(scalar_products(Repeated(matrix, exponent), group[:, 0]), "sums of logarithms")
    blocks = [matrix[np.ix_(component, component)] for component in group]
    return collected([evaluated_power(block, exponent) for block in blocks], len(blocks))
