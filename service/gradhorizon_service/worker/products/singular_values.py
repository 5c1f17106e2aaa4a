"""Every singular value of a long product of Jacobians, to full relative accuracy, and whether that was achieved.

The diagonals of a QR sweep are not singular values, and a product formed in float64, rescaled or not, keeps only those
within 16 decades of the largest. Here the product is kept as a graded triangle (`lu_sweep`, `graded`), singular factors
lose directions for good (`ranked_product`), coordinates that never meet are treated apart (`decoupling`), and what float64
cannot resolve is tried in integers (`integer_product`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .decoupling import Blocks, diagonal_entries, uncoupled_groups
from .determinants import log_determinant
from .factors import Factors, Repeated, Reversed, RowScaled, sequence_of
from .graded import log_singular_values_of_graded
from .integer_product import log_singular_values_in_integers
from .lu_sweep import PERTURBATION, Sweep, random_starts, sweep
from .ranked_product import ranked_product

_EPS = float(np.finfo(float).eps)
# Errors are relative to max(1, abs(ln sigma)). What is promised is 1e-8.
_TRUSTED_ESTIMATE = 1e-10
_TRUSTED_DIFFERENCE = 2e-9
_DETERMINANT_GAP = 1e-8
# Nats after which a direction that fell behind has left the range of float64, so that it cannot come back.
_LOST = 500.0
# Pivots of a factor that span more nats may belong to a singular one.
_SUSPICIOUS = 25.0
_SAMPLES = 64


@dataclass(frozen=True, eq=False)
class LogSingularValues:
    """ln sigma of J_T .. J_1 for every sequence, (B, N), largest first; -inf where sigma is exactly zero.

    ``reliable`` (B,) promises an error of at most 1e-8 max(1, abs(ln sigma)); where it is False, ``reason`` says why.
    ``estimated_error`` (B,) is on the same relative scale: the response to deliberate errors, or the difference of two
    independent evaluations. ``log_determinant_gap`` (B,) is abs(sum ln sigma - sum ln abs det J_t), 0 for a singular product.
    """

    log_values: Array
    reliable: Array
    reason: str | None
    log_determinant_gap: Array
    estimated_error: Array
    algorithm: str


def log_singular_values(factors: Factors) -> LogSingularValues:
    """Every ln sigma of the product, for each sequence of the batch."""
    if factors.steps == 0:
        return _exactly(np.zeros((factors.batch, factors.size)), "identity")
    return _merged([_of_group(factors, group) for group in uncoupled_groups(factors)])


def _of_group(factors: Factors, group: Array) -> LogSingularValues:
    """The values of a group of uncoupled components (c, k), all of size k."""
    count, size = group.shape
    if size == 1:
        return _exactly(_scalar_products(factors, group[:, 0]), "sums of logarithms")
    if count == 1:
        return _of_coupled(factors)
    blocks = _of_coupled(Blocks(factors, group))
    return LogSingularValues(
        blocks.log_values.reshape(factors.batch, count * size),
        blocks.reliable.reshape(factors.batch, count).all(axis=1),
        blocks.reason,
        blocks.log_determinant_gap.reshape(factors.batch, count).sum(axis=1),
        blocks.estimated_error.reshape(factors.batch, count).max(axis=1),
        blocks.algorithm,
    )
