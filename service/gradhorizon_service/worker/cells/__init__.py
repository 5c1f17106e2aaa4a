"""Cells, one file each: parameters and one step, with its Jacobian's products."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ._cell import Cell, Linearisation, OuterSum
from .feedforward import FeedforwardCell
from .jacobians import JacobiansCell
from .linear import build_linear
from .rnn import RnnCell

CELLS: Mapping[str, Callable[..., Cell]] = {
    "linear": build_linear,
    "rnn": RnnCell.build,
    "feedforward": FeedforwardCell.build,
    "jacobians": JacobiansCell.build,
}
"""Cell name in a request -> its builder, which takes the request's fields as keywords."""

__all__ = ["CELLS", "Cell", "Linearisation", "OuterSum", "RnnCell"]
