"""Cells that are trained, one file each: one step of many networks at once, and its way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...cells._activated import make_activation
from ..nonlinearity import Nonlinearity
from ._cell import BatchedCell, Linearised, Parameters
from .elman import ElmanCell
from .gru import GruCell
from .lstm import LstmCell
from .skip import SkipCell


def _phi(activation: str, parameters: Mapping[str, float | None]) -> Nonlinearity:
    return Nonlinearity(make_activation(activation, parameters))


def _rnn(activation: str = "tanh", **parameters: float | None) -> ElmanCell:
    return ElmanCell(_phi(activation, parameters))


def _leaky(leak_rate: float, activation: str = "tanh", **parameters: float | None) -> ElmanCell:
    return ElmanCell(_phi(activation, parameters), keep=1.0 - leak_rate, scale=leak_rate)


def _residual(scale: float = 1.0, activation: str = "tanh", **parameters: float | None) -> ElmanCell:
    return ElmanCell(_phi(activation, parameters), keep=1.0, scale=scale)


def _skip(
    delay: int, combine: str = "inside", activation: str = "tanh", **parameters: float | None
) -> SkipCell:
    return SkipCell(_phi(activation, parameters), delay, combine == "inside")


def _echo_state(leak_rate: float = 1.0, activation: str = "tanh", **parameters: float | None) -> ElmanCell:
    phi = _phi(activation, parameters)
    return ElmanCell(phi, keep=1.0 - leak_rate, scale=leak_rate, is_trained=False)


CELLS: Mapping[str, Callable[..., BatchedCell]] = {
    "rnn": _rnn,
    "leaky": _leaky,
    "skip": _skip,
    "residual": _residual,
    "echo_state": _echo_state,
    "lstm": LstmCell,
    "gru": GruCell,
}
"""Cell name in a request -> what builds it from the request's fields."""

__all__ = ["CELLS", "BatchedCell", "ElmanCell", "Linearised", "Parameters"]
