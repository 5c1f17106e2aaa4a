"""What a request says about a layer, instead of what was recognised or assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .layer import GATES, Direction, Layer

GATED_BY_FACTOR = {1: "rnn", 3: "gru", 4: "lstm"}
"""Rows of the recurrent matrix for each of its columns -> the cell."""

ACTIVATED = ("rnn", "lstm", "gru", "feedforward")
ROLES = (
    "weights", "input_weights", "bias", "input_bias", "recurrent_bias", "projection", "peepholes",
)  # fmt: skip
"""Fields of a request that name a tensor of the file."""


class RecognitionFault(ValueError):
    """A request says something about the file that cannot be; `steps` lead to it from the top of the request."""

    def __init__(self, steps: tuple[str, ...], message: str) -> None:
        super().__init__(steps, message)
        self.steps = steps
        self.message = message


@dataclass(frozen=True)
class Override:
    """One layer's own settings; None leaves what was recognised. The fields of `ROLES` are names of tensors."""

    cell: str | None = None
    activation: str | None = None
    gate_activation: str | None = None
    gate_order: str | None = None
    reset: str | None = None
    update: str | None = None
    forget_bias: float | None = None
    direction: Direction | None = None
    step: float | None = None
    transpose: bool | None = None
    weights: str | None = None
    input_weights: str | None = None
    bias: str | None = None
    input_bias: str | None = None
    recurrent_bias: str | None = None
    projection: str | None = None
    peepholes: str | None = None

    @property
    def tensors(self) -> Mapping[str, str]:
        """Field -> the tensor named for it."""
        return {role: name for role in ROLES if (name := getattr(self, role)) is not None}


_BELONGS = {
    "activation": ACTIVATED,
    "gate_activation": ("lstm", "gru"),
    "gate_order": ("lstm", "gru"),
    "reset": ("gru",),
    "update": ("gru",),
    "forget_bias": ("lstm",),
    "step": ("diagonal",),
}
"""Setting -> the cells that have it."""


def applied(layer: Layer, override: Override) -> Layer:
    """Return a layer with its settings. Raises RecognitionFault for one that does not belong to it."""
    layer = _with_cell(layer, override)
    for setting, cells in _BELONGS.items():
        if getattr(override, setting) is not None and layer.cell not in cells:
            raise RecognitionFault(
                ("layers", layer.name, setting),
                f"belongs to {' and '.join(cells)}; this layer is a cell {layer.cell}",
            )
    return _with_order(_with_values(layer, override), override)


def _with_cell(layer: Layer, override: Override) -> Layer:
    if override.cell is None or override.cell == layer.cell:
        return layer
    if {override.cell, layer.cell} != {"rnn", "linear"}:
        raise RecognitionFault(
            ("layers", layer.name, "cell"),
            f"is {override.cell}, but the shapes of the tensors make the cell {layer.cell}",
        )
    kept = {name: value for name, value in layer.parameters.items() if name != "activation"}
    assumed = {about: says for about, says in layer.assumptions.items() if about != "activation"}
    return replace(layer, cell=override.cell, parameters=kept, assumptions=assumed)


def _with_values(layer: Layer, override: Override) -> Layer:
    names = ("activation", "gate_activation", "reset", "update")
    said = {name: value for name in names if (value := getattr(override, name)) is not None}
    about = set(said) | ({"forget_bias"} if override.forget_bias is not None else set())
    return replace(
        layer,
        parameters={**layer.parameters, **said},
        forget_bias=layer.forget_bias if override.forget_bias is None else override.forget_bias,
        direction=override.direction or layer.direction,
        assumptions={name: says for name, says in layer.assumptions.items() if name not in about},
    )


def _with_order(layer: Layer, override: Override) -> Layer:
    order = override.gate_order
    if order is None:
        return layer
    gates = GATES[layer.cell]
    if sorted(order) != sorted(gates):
        raise RecognitionFault(
            ("layers", layer.name, "gate_order"),
            f"must name each of the gates {', '.join(gates)} once, as in {gates!r}",
        )
    assumed = {about: says for about, says in layer.assumptions.items() if about != "gate_order"}
    return replace(layer, order=order, assumptions=assumed)
