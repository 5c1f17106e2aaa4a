"""Cells, one file each: parameters and one step, with its Jacobian's products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ._cell import Bounded, Cell, Linearisation, LinearStep, Nonlinearity, OuterSum
from ._driven import DriveByStep
from .diagonal import build_diagonal
from .echo_state import build_echo_state
from .feedforward import FeedforwardCell
from .gru import GATES as GRU_GATES
from .gru import build_gru
from .jacobians import JacobiansCell
from .leaky import LeakyCell
from .linear import build_linear
from .lstm import GATES as LSTM_GATES
from .lstm import PEEPHOLES, LstmCell
from .residual import build_residual
from .rnn import RnnCell
from .skip import SkipCell


@dataclass(frozen=True)
class CellKind:
    """A row of the table: how a cell is built, and what its networks have, known before one is built.

    `build` takes the request's fields as keywords. `has_matrix`: one square recurrent matrix, whose spectrum means
    something. `has_states`: there are states and parameters behind the Jacobians. `is_recurrent`: every step is the
    same. `is_trained`: its parameters receive gradients, and not only those of a readout. `is_linear`: a step is one
    matrix times the state, and a drive, so that states split into modes. `gates` are the gates whose parameters are
    stacked in this order, in equal blocks of rows; a parameter that only some of them have is in `gates_of`.
    """

    build: Callable[..., Cell]
    has_matrix: bool = True
    has_states: bool = True
    is_recurrent: bool = True
    is_trained: bool = True
    is_linear: bool = False
    gates: tuple[str, ...] = ()
    gates_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_gated(self) -> bool:
        """Whether gates decide what is kept, so that Jacobians depend on the state whatever the activation."""
        return bool(self.gates)

    def blocks(self, parameter: str) -> tuple[str, ...]:
        """The gates of a parameter's equal blocks of rows, in order; none for one that is not stacked."""
        return self.gates_of.get(parameter, self.gates if parameter in _STACKED else ())


_STACKED = ("weights", "input_weights", "bias", "input_bias", "recurrent_bias")

CELLS: Mapping[str, CellKind] = {
    "linear": CellKind(build_linear, is_linear=True),
    "rnn": CellKind(RnnCell.build),
    "leaky": CellKind(LeakyCell.build),
    "residual": CellKind(build_residual),
    "skip": CellKind(SkipCell.build),
    "echo_state": CellKind(build_echo_state, is_trained=False),
    "lstm": CellKind(LstmCell.build, has_matrix=False, gates=LSTM_GATES, gates_of={"peepholes": PEEPHOLES}),
    "gru": CellKind(build_gru, has_matrix=False, gates=GRU_GATES),
    "feedforward": CellKind(FeedforwardCell.build, has_matrix=False, is_recurrent=False),
    "diagonal": CellKind(build_diagonal, is_linear=True),
    "jacobians": CellKind(JacobiansCell.build, has_matrix=False, has_states=False),
}
"""Cell name in a request -> its row."""

__all__ = [
    "CELLS",
    "Bounded",
    "Cell",
    "CellKind",
    "DriveByStep",
    "LeakyCell",
    "LinearStep",
    "Linearisation",
    "Nonlinearity",
    "OuterSum",
    "RnnCell",
]
