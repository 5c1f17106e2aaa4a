"""Equinox: eqx.nn.LSTMCell and GRUCell. Weights (out, in) as in PyTorch, one bias, and `bias_n` inside r * (...)."""

from __future__ import annotations

from collections.abc import Iterator

from ..layer import Layer, Misfit, Refusal
from ..weight import stacked, zeros
from ._family import GATES, Found, check_shape, gates_of, layer_name, refusal


def equinox(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise cells by `weight_hh` with a single `bias`."""
    for path in found.modules:
        leaves = found.modules[path]
        if not {"weight_hh", "bias"} <= set(leaves):
            continue
        parts = {
            name: leaves[name] for name in ("weight_ih", "weight_hh", "bias", "bias_n") if name in leaves
        }
        try:
            hh = parts["weight_hh"]
            check_shape("weight_hh", hh, None, None)
            rows, size = hh.shape
            cell = GATES[gates_of("weight_hh", rows, size, (3, 4))]
            check_shape("bias", parts["bias"], rows)
            if "weight_ih" in parts:
                check_shape("weight_ih", parts["weight_ih"], rows, None)
            parameters = {"weights": hh, "input_weights": parts.get("weight_ih"), "input_bias": parts["bias"]}
            parameters = {name: weight for name, weight in parameters.items() if weight is not None}
            variant = {"reset": "after", "update": "keep"} if cell == "gru" else {}
            if "bias_n" in parts:
                check_shape("bias_n", parts["bias_n"], size)
                parameters["recurrent_bias"] = stacked([zeros(2 * size), parts["bias_n"]])
        except Misfit as misfit:
            yield refusal(parts, misfit)
            continue
        order = {"lstm": "ifgo", "gru": "rzn"}[cell]
        yield Layer(layer_name(path), "equinox", cell, {**parameters, **variant}, order=order)
