"""The diagonal recurrence h_t = a_t * h_{t-1} + U x + b with real decays of their own at every step.

Those of Mamba (A. Gu and T. Dao, 2023) and RG-LRU (S. De et al., 2024) follow from the input; here they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .._types import Array
from ._cell import Nonlinearity, OuterSum
from ._driven import Drive


@dataclass(frozen=True, eq=False)
class DecaysCell:
    """decays (T, P, N), the first applied first: P is 1 where sequences share them.

    `has_batch_axis` says that the request gave them sequence by sequence, (P, T, N). `burn_in` of the T steps come
    before step 0.
    """

    decays: Array
    driven: Drive
    has_batch_axis: bool
    burn_in: int = 0

    homogeneous: ClassVar[bool] = True
    recurrent: ClassVar[bool] = True
    matrix: ClassVar[None] = None
    activation: ClassVar[None] = None
    parts: ClassVar[None] = None
    splits: ClassVar[bool] = False

    @classmethod
    def of(cls, decays: Array, driven: Drive) -> DecaysCell:
        """Build from decays as a request gives them, (T, N) or (B, T, N)."""
        by_step = np.swapaxes(decays, 0, 1) if decays.ndim == 3 else decays[:, None]
        return cls(np.ascontiguousarray(by_step), driven, decays.ndim == 3)

    def after(self, burn_in: int) -> DecaysCell:
        """The same with the first steps as a burn-in."""
        return replace(self, burn_in=burn_in)

    @property
    def state_size(self) -> int:
        return int(self.decays.shape[2])

    @property
    def output_size(self) -> int:
        return int(self.decays.shape[2])

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        values = self.driven.values(inputs)
        return None if values is None else np.broadcast_to(values, (steps, batch, self.state_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        following = self.decays[self.burn_in + step] * state
        if drive is not None:
            following = following + drive
        return following, following

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> DecaysLinearisation:
        return DecaysLinearisation(self)

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        return {}


@dataclass(frozen=True, eq=False)
class DecaysLinearisation:
    """J_t = diag(a_t). The decays are no shared parameter: each step has its own."""

    cell: DecaysCell

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        return gradient * self.cell.decays[self.cell.burn_in + step], gradient

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        return gradients[:-1]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        return self.cell.driven.parameter_terms(deltas, inputs)

    def factors(self) -> None:
        return None
