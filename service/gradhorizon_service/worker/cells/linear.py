"""The linear recurrence h' = W h + U x + b, dense or, for a spectrum in its own basis, without ever forming W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .._types import Array
from ..activations import Identity
from ..block_diagonal import BlockDiagonal
from ..products.factors import Factors
from ._cell import Cell, Nonlinearity, OuterSum
from ._driven import Drive
from ._eigenvalues import Slopes
from .rnn import RnnCell


def build_linear(
    *,
    weights: Array | BlockDiagonal,
    input_weights: Array | None = None,
    bias: Array | None = None,
    input_bias: Array | None = None,
    recurrent_bias: Array | None = None,
) -> Cell:
    """Build from a request's fields: dense W is an RNN with the identity activation, a spectrum stays a spectrum."""
    size = weights.size if isinstance(weights, BlockDiagonal) else len(weights)
    driven = Drive.of(input_weights, size, bias=bias, input_bias=input_bias, recurrent_bias=recurrent_bias)
    if isinstance(weights, BlockDiagonal):
        return DiagonalLinearCell(weights, driven)
    return RnnCell(weights, Identity(), driven)


@dataclass(frozen=True, eq=False)
class DiagonalLinearCell:
    """h' = Lambda h + U x + b with Lambda made of real numbers and 2 x 2 rotation-scalings.

    `parameters`: what the eigenvalues are made of, by name in the request.
    """

    blocks: BlockDiagonal
    driven: Drive
    parameters: Mapping[str, Slopes] = field(default_factory=lambda: {"weights": Slopes.of_themselves()})

    homogeneous: ClassVar[bool] = True
    recurrent: ClassVar[bool] = True
    activation: ClassVar[None] = None
    parts: ClassVar[None] = None
    splits: ClassVar[bool] = False

    @property
    def matrix(self) -> BlockDiagonal:
        return self.blocks

    @property
    def state_size(self) -> int:
        return self.blocks.size

    @property
    def output_size(self) -> int:
        return self.blocks.size

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        values = self.driven.values(inputs)
        return None if values is None else np.broadcast_to(values, (steps, batch, self.state_size))

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        following = self.blocks.times(state)
        if drive is not None:
            following = following + drive
        return following, following

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> DiagonalLinearisation:
        return DiagonalLinearisation(self)

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        return {}


@dataclass(frozen=True, eq=False)
class DiagonalLinearisation:
    """J_t = Lambda at every step; `weights` means the entries of the blocks, whatever they are made of."""

    cell: DiagonalLinearCell

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        return self.cell.blocks.transpose_times(gradient), gradient

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        return gradients[:-1]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        terms = self.cell.driven.parameter_terms(deltas, inputs)
        left, right = self.cell.blocks.gradient_pairs(deltas, states[:-1])
        return {"weights": OuterSum(left, right, elementwise=True, right_is_state=True), **terms}

    def factors(self) -> Factors | None:
        return None
