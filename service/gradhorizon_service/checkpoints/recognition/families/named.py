"""Layers that the request puts together by the names of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..layer import GATES as ORDERS
from ..layer import Layer, Misfit, Refusal
from ..override import Override, RecognitionFault
from ..weight import Weight
from ._family import GATES, TANH, Found, check_shape, gates_of


def named(found: Found) -> Iterator[Layer | Refusal]:
    """Build every layer of the request that names its recurrent matrix. Raises RecognitionFault."""
    for name, override in found.overrides.items():
        if override.weights is None:
            if override.tensors:
                raise RecognitionFault(
                    ("layers", name, next(iter(override.tensors))),
                    "needs weights, the recurrent matrix, beside it",
                )
            continue
        parts = {role: _tensor(found, name, role, tensor) for role, tensor in override.tensors.items()}
        try:
            yield _layer(name, parts, override)
        except Misfit as misfit:
            raise RecognitionFault(("layers", name), str(misfit)) from None


def _tensor(found: Found, layer: str, role: str, name: str) -> Weight:
    if name not in found.weights:
        raise RecognitionFault(
            ("layers", layer, role), "names no tensor of floating-point numbers in this file"
        )
    return found.weights[name]


def _layer(name: str, parts: dict[str, Weight], override: Override) -> Layer:
    if override.transpose:
        parts = {
            role: weight.T if len(weight.shape) == 2 and role != "peepholes" else weight
            for role, weight in parts.items()
        }
    weights = parts["weights"]
    check_shape("weights", weights, None, None)
    rows, columns = weights.shape
    projected = "projection" in parts
    cell = "lstm" if projected else GATES[gates_of("weights", rows, columns)]
    if "input_weights" in parts:
        check_shape("input_weights", parts["input_weights"], rows, None)
    for role in ("bias", "input_bias", "recurrent_bias"):
        if role in parts:
            check_shape(role, parts[role], rows)
    if projected:
        check_shape("projection", parts["projection"], columns, rows // 4)
    if "peepholes" in parts:
        check_shape("peepholes", parts["peepholes"], 3, rows // 4)
    parameters: dict[str, Any] = dict(parts)
    assumptions = {}
    if cell == "rnn":
        parameters["activation"] = "tanh"
        assumptions["activation"] = TANH
    else:
        order = ", ".join(ORDERS[cell])
        assumptions["gate_order"] = f"gates stacked {order} as PyTorch does"
    if cell == "gru":
        parameters |= {"reset": "after", "update": "keep"}
        assumptions["reset"] = "reset gate after the product as PyTorch has it"
    return Layer(
        name, "named in the request", cell, parameters, order=ORDERS.get(cell), assumptions=assumptions
    )
