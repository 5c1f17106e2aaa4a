"""The transport of a diagonal recurrence in closed form: J_{T<-t} = Lambda^(T-t), driven or not."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..products.lyapunov import LyapunovSpectrum, exact_spectrum
from ..products.singular_values import LogSingularValues
from ..products.transport_norms import TransportPeak


def diagonal_singular_values(blocks: BlockDiagonal, depth: int) -> LogSingularValues:
    """Depth times ln |lambda|, since Lambda is normal."""
    return LogSingularValues.exact(_powers(blocks, depth)[None], "depth times ln |lambda| (normal matrix)")


def diagonal_transport_peak(blocks: BlockDiagonal, depth: int) -> TransportPeak:
    """A norm that grows does so to the end, and one that shrinks is largest at lag 0."""
    logs = _powers(blocks, depth)[None]
    growth = logs[:, 0]
    return TransportPeak(
        np.maximum(growth, 0.0), np.where(growth > 0, depth, 0), growth, logs, np.array([-np.inf])
    )


def diagonal_lyapunov(blocks: BlockDiagonal, leading: int | None) -> LyapunovSpectrum:
    """ln |lambda|, largest first."""
    return exact_spectrum(_powers(blocks, 1), leading)


def _powers(blocks: BlockDiagonal, steps: int) -> Array:
    """steps times ln |lambda|, (N,), largest first; zero for no steps even where lambda is zero."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(blocks.eigenvalues))
    return np.sort(steps * logs if steps else np.zeros_like(logs))[::-1]
