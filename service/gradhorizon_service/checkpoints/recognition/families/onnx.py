"""ONNX: the operators RNN, LSTM and GRU. W and R (directions, gates, ...), gates i, o, f, c and z, r, h, two biases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..layer import Layer, Misfit, Refusal
from ..weight import Weight
from ._family import Found, check_shape, refusal

ACTIVATIONS = {
    "tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "softsign": "softsign", "softplus": "softplus",
    "elu": "elu", "leakyrelu": "leaky_relu",
}  # fmt: skip
"""ONNX's name -> ours."""

_CELLS = {"RNN": ("rnn", 1), "LSTM": ("lstm", 4), "GRU": ("gru", 3)}
_ORDERS = {"lstm": "iofg", "gru": "zrn"}
_PEEPHOLES = "iof"
_USUAL = {"RNN": ("tanh",), "LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh")}
_PARAMETERS = {"elu": ("alpha", 1.0), "leaky_relu": ("negative_slope", 0.01)}


def onnx(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise the recurrent nodes of a graph, a layer for each direction."""
    previous: list[Layer] = []
    for entry in found.declared:
        if entry.kind not in _CELLS:
            continue
        parts = {role: found.weights[name] for role, name in entry.tensors.items() if name in found.weights}
        try:
            _refuse_what_no_cell_here_does(entry.name, entry.options, entry.missing)
            said = found.overrides.get(_layer_name(entry.name))
            options = dict(entry.options)
            if said is not None and (said.activation or said.gate_activation):
                options.pop("activations", None)
            layers = [_fed(layer, previous) for layer in _directions(entry.name, entry.kind, parts, options)]
            yield from layers
            previous = layers
        except Misfit as misfit:
            yield refusal(parts, misfit)
            previous = []


def _layer_name(node: str) -> str:
    return node.replace("/", ".").strip(".")


def _fed(layer: Layer, below: Sequence[Layer]) -> Layer:
    """The node before this one, where its states are as wide as the inputs here."""
    if not below or sum(lower.output_size or 0 for lower in below) != layer.input_width:
        return layer
    names = tuple(lower.name for lower in below)
    says = f"fed by {' and '.join(names)}: the node before it in the graph, as wide as its inputs"
    return replace(layer, below=names, assumptions={**layer.assumptions, "below": says})


def _refuse_what_no_cell_here_does(name: str, options: Mapping[str, Any], missing: Mapping[str, str]) -> None:
    if missing:
        raise Misfit("; ".join(f"{role} of {name}: {reason}" for role, reason in missing.items()))
    if options.get("clip"):
        raise Misfit(f"{name} clips its gates at {options['clip']:g}, which no cell here does")
    if options.get("input_forget"):
        raise Misfit(f"{name} couples its input gate to its forget gate, which no cell here does")


def _directions(name: str, kind: str, parts: Mapping[str, Weight], options: Mapping[str, Any]) -> list[Layer]:
    if not {"W", "R"} <= set(parts):
        raise Misfit(f"{name} lacks W or R")
    cell, gates = _CELLS[kind]
    check_shape(f"R of {name}", parts["R"], None, None, None)
    count, rows, size = parts["R"].shape
    if rows != gates * size:
        raise Misfit(f"R of {name} is {list(parts['R'].shape)}; a {kind} has {gates} rows for each unit")
    check_shape(f"W of {name}", parts["W"], count, rows, None)
    if "B" in parts:
        check_shape(f"B of {name}", parts["B"], count, 2 * rows)
    if "P" in parts:
        check_shape(f"P of {name}", parts["P"], count, 3 * size)
    said = str(options.get("direction", "forward"))
    directions = {"bidirectional": ("forward", "backward"), "reverse": ("backward",)}.get(said, ("forward",))
    if len(directions) != count:
        raise Misfit(f"{name} is {said}, and its weights are for {count} direction(s)")
    activations = _activations(name, kind, options, count)
    return [
        Layer(
            _layer_name(name) + ("_reverse" if index else ""),
            "onnx",
            cell,
            _parameters(cell, parts, index, rows, size, options) | activations[index],
            order=_ORDERS.get(cell),
            direction="backward" if direction == "backward" else "forward",
            assumptions=_variant(cell, options),
        )
        for index, direction in enumerate(directions)
    ]


def _parameters(
    cell: str, parts: Mapping[str, Weight], index: int, rows: int, size: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    parameters: dict[str, Any] = {"weights": parts["R"].at(index), "input_weights": parts["W"].at(index)}
    if "B" in parts:
        both = parts["B"].at(index)
        parameters |= {"input_bias": both.part(0, rows), "recurrent_bias": both.part(rows, 2 * rows)}
    if "P" in parts:
        parameters["peepholes"] = parts["P"].at(index).made((3, size), lambda p: p.reshape(3, size))
    if cell == "gru":
        parameters |= {"reset": "after" if options.get("linear_before_reset") else "before", "update": "keep"}
    return parameters


def _variant(cell: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Exporters get this wrong, so that the variant found is always said."""
    if cell != "gru":
        return {}
    found = int(bool(options.get("linear_before_reset")))
    where = "after" if found else "before"
    return {"reset": f"reset gate {where} the product: linear_before_reset is {found}"}


def _activations(name: str, kind: str, options: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    usual = _USUAL[kind]
    said = [str(word).lower() for word in options.get("activations") or ()]
    if said and len(said) != len(usual) * count:
        raise Misfit(f"{name} names {len(said)} activations; {len(usual) * count} are needed")
    alphas = iter(options.get("activation_alpha") or ())
    found = []
    for index in range(count):
        words: Sequence[str] = said[index * len(usual) : (index + 1) * len(usual)] or usual
        chosen = [_activation(name, word, alphas) for word in words]
        gate, own = ({}, chosen) if kind == "RNN" else (chosen[0], chosen[1:])
        if any(other != own[0] for other in own):
            raise Misfit(
                f"{name} has different activations for the cell and its output, {' and '.join(words[1:])}"
            )
        found.append(own[0] | _gates(name, gate))
    return found


def _activation(name: str, word: str, alphas: Iterator[float]) -> dict[str, Any]:
    """An activation with its parameter; only those that have one take the next of the alphas."""
    if word not in ACTIVATIONS:
        raise Misfit(
            f"{name} has the activation {word[:40]!r}, which no cell here has; say another in `layers`"
        )
    activation = ACTIVATIONS[word]
    if activation not in _PARAMETERS:
        return {"activation": activation}
    parameter, default = _PARAMETERS[activation]
    return {"activation": activation, parameter: float(next(alphas, default))}


def _gates(name: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The activation of the gates, which has no parameters in a request."""
    for parameter, default in _PARAMETERS.values():
        if chosen.get(parameter, default) != default:
            raise Misfit(
                f"{name} has gates with a parameter of their own, {chosen[parameter]:g}, which no cell here has"
            )
    return {"gate_activation": chosen["activation"]} if chosen else {}
