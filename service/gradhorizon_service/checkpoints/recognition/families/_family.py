"""What every family of conventions gets, and the checks they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...checkpoint import DeclaredLayer
from ..layer import Layer, Misfit, Refusal
from ..modules import Modules, Path, dotted
from ..override import Override
from ..weight import Weight

GATES = {1: "rnn", 3: "gru", 4: "lstm"}
"""Rows of the recurrent matrix for each of its columns -> the cell."""

TANH = "activation tanh: the file does not say"


@dataclass(frozen=True)
class Found:
    """The weights of a file, and what is known beside their names."""

    modules: Modules
    declared: tuple[DeclaredLayer, ...]
    weights: Mapping[str, Weight]
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def without(self, names: set[str]) -> Found:
        """Return what earlier families left."""
        return Found(self.modules.without(names), self.declared, self.weights, self.overrides)


class Family(Protocol):
    """Recognises the layers of one framework, in the order of the file."""

    def __call__(self, found: Found) -> Iterator[Layer | Refusal]: ...


def refusal(parts: Sequence[Weight] | Mapping[str, Weight], misfit: Misfit) -> Refusal:
    """Return the refusal of everything that belongs together."""
    weights = parts.values() if isinstance(parts, Mapping) else parts
    return Refusal(tuple(name for weight in weights for name in weight.names), str(misfit))


def check_shape(what: str, weight: Weight, *shape: int | None) -> None:
    """Raise Misfit where a shape is another one; None stands for any length."""
    if len(weight.shape) != len(shape) or any(
        wanted not in (None, length) for wanted, length in zip(shape, weight.shape, strict=True)
    ):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise Misfit(f"{what} is {list(weight.shape)}, and the other tensors of the layer need [{wanted}]")


def gates_of(what: str, rows: int, columns: int, counts: Sequence[int] = (1, 3, 4)) -> int:
    """Return how many gates are stacked in a recurrent matrix (rows of the gates, columns of the state)."""
    gates = rows // columns if columns else 0
    if not columns or rows % columns or gates not in counts:
        raise Misfit(
            f"{what} has {rows} rows of gates for a state of {columns}; an RNN has 1 for each, a GRU 3, an LSTM 4"
        )
    return gates


def layer_name(path: Path, tail: str = "") -> str:
    return dotted((*path, tail) if tail else path) or "cell"


def direction_of(path: Path) -> str:
    """Return backward where a module is called so, as in `backward_rnn` or `backward_layer`."""
    return "backward" if any(part.startswith(("backward", "reverse")) for part in path) else "forward"
