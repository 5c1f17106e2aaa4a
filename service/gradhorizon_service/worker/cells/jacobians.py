"""Bring your own step Jacobians: gradients and transport of any model, without its states or parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .._types import Array
from ..products.factors import DenseFactors, Factors
from ._cell import Nonlinearity, OuterSum


@dataclass(frozen=True, eq=False)
class JacobiansCell:
    """tensor (T, N, N), the first applied first; its states are perturbations s_t = J_t s_{t-1}."""

    tensor: Array

    homogeneous: ClassVar[bool] = True
    recurrent: ClassVar[bool] = True
    matrix: ClassVar[None] = None
    activation: ClassVar[None] = None
    parts: ClassVar[None] = None
    splits: ClassVar[bool] = False

    @classmethod
    def build(cls, *, values: Array) -> JacobiansCell:
        """Build from a request's field."""
        return cls(values)

    @property
    def state_size(self) -> int:
        return int(self.tensor.shape[1])

    @property
    def output_size(self) -> int:
        return int(self.tensor.shape[1])

    def drive(self, inputs: Array | None, steps: int, batch: int) -> Array | None:
        return None

    def advance(self, step: int, state: Array, drive: Array | None) -> tuple[Array, Array]:
        following = state @ self.tensor[step].T
        return following, following

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> JacobiansLinearisation:
        return JacobiansLinearisation(self)

    def nonlinearities(self, states: Sequence[Array], inputs: Array | None) -> Mapping[str, Nonlinearity]:
        return {}


@dataclass(frozen=True, eq=False)
class JacobiansLinearisation:
    """The given Jacobians, shared by every sequence."""

    cell: JacobiansCell

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        return gradient @ self.cell.tensor[step], gradient

    def deltas(self, gradients: Sequence[Array]) -> Sequence[Array]:
        return gradients[:-1]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        return {}

    def factors(self) -> Factors:
        return DenseFactors(self.cell.tensor)
