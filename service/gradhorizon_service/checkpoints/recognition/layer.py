"""What is recognised: layers in the conventions of the file, and tensors that make none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .weight import Weight

Direction = Literal["forward", "backward"]

GATES: Mapping[str, str] = {"lstm": "ifgo", "gru": "rzn"}
"""Cell -> the order in which a request stacks its gates, a letter each."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer under the field names of a request, its gates still stacked in the file's order.

    `parameters` are weights (out, in), lists or mappings of them, and plain values. `order` names the blocks of the
    stacked ones, a letter a gate. `forget_bias` is what the framework adds to the forget gate when it runs. `below` are
    the layers whose states, side by side, are this one's inputs. `assumptions` are sentences by what they are about:
    saying that in the request takes the sentence away.
    """

    name: str
    framework: str
    cell: str
    parameters: Mapping[str, Any]
    order: str | None = None
    direction: Direction = "forward"
    forget_bias: float = 0.0
    below: tuple[str, ...] = ()
    assumptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> Mapping[str, tuple[str, ...]]:
        """Field of the request -> the tensors of the file that fill it."""
        found = {name: tuple(_names(value)) for name, value in self.parameters.items()}
        return {name: names for name, names in found.items() if names}

    @property
    def input_width(self) -> int | None:
        """Numbers a step takes in."""
        given = self.parameters.get("input_weights")
        return given.shape[1] if isinstance(given, Weight) else None

    @property
    def output_size(self) -> int | None:
        """Entries of h of a recurrent layer."""
        given = self.parameters.get("weights")
        return given.shape[1] if isinstance(given, Weight) else None


@dataclass(frozen=True)
class Refusal:
    """Tensors that were looked at and make no layer, and why."""

    names: tuple[str, ...]
    reason: str


class Misfit(Exception):
    """Tensors that belong together do not fit; the sentence says which and how."""


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Weight):
        yield from value.names
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _names(inner)
