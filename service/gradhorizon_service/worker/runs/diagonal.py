"""The undriven linear recurrence in its own eigenbasis: closed forms, O(N) a lag, no matrix anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..cells.linear import DiagonalLinearCell
from ..horizon import Crossing
from ..outcome import outcome_of
from ..parameter_gradients import ScaledArray
from ..problem import Problem
from ..products.diagonal_norms import diagonal_first_crossing, diagonal_log_norms_at
from ..products.lyapunov import LyapunovSpectrum
from ..products.singular_values import LogSingularValues
from ..products.transport_norms import TransportPeak
from ._diagonal_transport import diagonal_lyapunov, diagonal_singular_values, diagonal_transport_peak
from ._run import Shares
from ._shares import shares_of
from .stepped import SteppedRun


class DiagonalTransport:
    """Transport through a normal matrix: every number follows from the moduli of the eigenvalues."""

    matrix: BlockDiagonal
    depth: int

    def singular_values(self) -> LogSingularValues:
        return diagonal_singular_values(self.matrix, self.depth)

    @property
    def transport_peak(self) -> TransportPeak:
        return diagonal_transport_peak(self.matrix, self.depth)

    def lyapunov(self, leading: int | None) -> LyapunovSpectrum:
        return diagonal_lyapunov(self.matrix, leading)
