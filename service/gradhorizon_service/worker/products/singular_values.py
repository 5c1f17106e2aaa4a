"""Every singular value of a long product of Jacobians, and whether full relative accuracy was reached.

The diagonals of a QR sweep are not singular values, and a product formed in float64, rescaled or not, keeps
only those within 16 decades of the largest. Here the product is carried as a graded triangle (`lu_sweep`,
`graded`), singular factors lose directions for good (`ranked_product`), coordinates that never meet are
treated apart (`decoupling`), and what float64 cannot resolve is tried in integers (`integer_product`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from .attempts import Attempt, evaluated
from .decoupling import Blocks, scalar_products, uncoupled_groups
from .factors import Factors, Gradable


@dataclass(frozen=True, eq=False)
class LogSingularValues:
    """ln sigma of J_T .. J_1 for every sequence, (B, N), largest first; -inf where sigma is exactly zero.

    ``reliable`` (B,) promises errors of at most 1e-8 max(1, abs(ln sigma)); where it is False, ``reason``
    says why. ``estimated_error`` (B,), on the same relative scale, is what the checks say: the response to
    errors made on purpose, or the difference of independent evaluations. ``log_determinant_gap`` (B,) is
    abs(sum ln sigma - sum ln abs det J_t), 0 where the product is singular.
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
        return exactly(np.zeros((factors.batch, factors.size)), "identity")
    if isinstance(factors, Gradable):
        factors = factors.graded(closed=True)
    groups = [_of_group(factors, group) for group in uncoupled_groups(factors)]
    return groups[0] if len(groups) == 1 else merged(groups)


def exactly(log_values: Array, algorithm: str) -> LogSingularValues:
    """Values (B, N), in any order, that need no check."""
    nothing = np.zeros(len(log_values))
    descending = -np.sort(-log_values, axis=1)
    return LogSingularValues(descending, nothing == 0.0, None, nothing, nothing, algorithm)


def _of_group(factors: Factors, group: Array) -> LogSingularValues:
    """The values of uncoupled components (c, k), all of size k."""
    count, size = group.shape
    if size == 1:
        return exactly(scalar_products(factors, group[:, 0]), "sums of logarithms")
    return collected(evaluated(factors if size == factors.size else Blocks(factors, group)), count)


def collected(attempts: Sequence[Attempt], components: int) -> LogSingularValues:
    """Attempts of B * c sequences, as the values of B."""

    def by_sequence(values: list[Array] | list[float] | list[bool]) -> Array:
        return np.array(values).reshape(len(attempts) // components, components, -1)

    log_values = by_sequence([attempt.log_values for attempt in attempts])
    reliable = np.asarray(by_sequence([attempt.doubt is None for attempt in attempts]).all(axis=(1, 2)))
    errors = by_sequence([attempt.error for attempt in attempts]).max(axis=(1, 2))
    gaps = by_sequence([attempt.determinant_gap for attempt in attempts]).sum(axis=(1, 2))
    return LogSingularValues(
        -np.sort(-log_values.reshape(len(log_values), -1), axis=1),
        reliable,
        _reason([attempt.doubt for attempt in attempts], reliable),
        gaps,
        errors,
        ", ".join(dict.fromkeys(attempt.algorithm for attempt in attempts)),
    )


def _reason(doubts: Sequence[str | None], reliable: Array) -> str | None:
    """The first doubt, and how many sequences have any."""
    first = next((doubt for doubt in doubts if doubt), None)
    failed = np.count_nonzero(~reliable)
    return (
        first if first is None or len(reliable) == 1 else f"{first} ({failed} of {len(reliable)} sequences)"
    )


def merged(parts: Sequence[LogSingularValues]) -> LogSingularValues:
    """The values of all parts of each sequence together."""
    log_values = np.concatenate([part.log_values for part in parts], axis=1)
    return LogSingularValues(
        -np.sort(-log_values, axis=1),
        np.logical_and.reduce([part.reliable for part in parts]),
        next((part.reason for part in parts if part.reason), None),
        np.sum([part.log_determinant_gap for part in parts], axis=0),
        np.max([part.estimated_error for part in parts], axis=0),
        ", ".join(dict.fromkeys(part.algorithm for part in parts)),
    )
