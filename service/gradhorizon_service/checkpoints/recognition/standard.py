"""A layer in the conventions of a request: gates in its order, biases as it keeps them, numbers read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .layer import GATES, Layer
from .weight import Array, Weight

_STACKED = ("weights", "input_weights", "bias", "input_bias", "recurrent_bias")
_PEEPHOLES = "ifo"


def network_of(layer: Layer) -> dict[str, Any]:
    """Return the network of a request that computes what the layer computes; its numbers are read here."""
    network = {"cell": layer.cell, **{name: _read(value) for name, value in layer.parameters.items()}}
    if layer.order is not None:
        gates = GATES[layer.cell]
        for name in _STACKED:
            if name in network:
                network[name] = permuted(network[name], layer.order, gates)
        if "peepholes" in network:
            order = "".join(letter for letter in layer.order if letter in _PEEPHOLES)
            network["peepholes"] = permuted(network["peepholes"], order, _PEEPHOLES)
    if layer.forget_bias:
        _add_forget_bias(network, layer.forget_bias)
    return network


def permuted(array: Array, order: str, wanted: str) -> Array:
    """Return blocks of rows, stacked in one order of letters, in another one."""
    size = len(array) // len(order)
    rows = [np.arange(size) + size * order.index(letter) for letter in wanted]
    return np.ascontiguousarray(array[np.concatenate(rows)])


def _add_forget_bias(network: dict[str, Any], amount: float) -> None:
    hidden = len(network["weights"]) // len(GATES["lstm"])
    name = next((name for name in ("bias", "input_bias", "recurrent_bias") if name in network), "bias")
    bias = np.array(network.get(name, np.zeros(4 * hidden)))
    bias[hidden : 2 * hidden] += amount
    network[name] = bias


def _read(value: Any) -> Any:
    if isinstance(value, Weight):
        return value.read()
    if isinstance(value, Mapping):
        return {name: _read(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_read(inner) for inner in value]
    return value
