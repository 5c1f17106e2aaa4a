"""Keras: SimpleRNN, LSTM and GRU. Kernels (in, out), gates i, f, c, o and z, r, h; the bias tells a GRU's variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...checkpoint import DeclaredLayer
from ..layer import Layer, Misfit, Refusal
from ..override import Override
from ..weight import Weight
from ._family import GATES, TANH, Found, check_shape, direction_of, gates_of, layer_name, refusal

ACTIVATIONS = {
    name: name
    for name in (
        "tanh",
        "sigmoid",
        "relu",
        "elu",
        "selu",
        "softplus",
        "softsign",
        "silu",
        "gelu",
        "leaky_relu",
    )
} | {"linear": "identity", "swish": "silu"}
"""Keras's name -> ours."""
_OTHERWISE: Mapping[str, Mapping[str, float]] = {"leaky_relu": {"negative_slope": 0.2}}
"""Activation -> parameters for which Keras has another default than a request."""

_KINDS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}
_ORDERS = {"lstm": "ifgo", "gru": "zrn"}
_ROLES = ("kernel", "recurrent_kernel", "bias")


def keras(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise the layers of a configuration; without one, cells by the names and shapes of their kernels."""
    declared = [layer for layer in found.declared if "kernel" in layer.tensors or "kernel" in layer.missing]
    if declared:
        yield from _declared(found, declared)
    yield from _undeclared(found.without(_named(declared)))


def _named(declared: list[DeclaredLayer]) -> set[str]:
    return {name for layer in declared for name in layer.tensors.values()}


def _declared(found: Found, declared: list[DeclaredLayer]) -> Iterator[Layer | Refusal]:
    """Layers in the order of the configuration; both directions of one take their inputs from the layer before.

    Cells that are stacked in one layer hand on their states at every step, whatever the layer itself returns.
    """
    current: list[Layer] = []
    previous: list[Layer] = []
    lower: list[Layer] = []
    feeds = False
    for before, entry in zip([None, *declared], declared, strict=False):
        parts = {role: found.weights[name] for role, name in entry.tensors.items() if name in found.weights}
        is_stacked = before is not None and _is_stacked(before, entry)
        if is_stacked:
            current = [layer for layer in current if layer not in lower]
        elif entry.options.get("direction") != "backward":
            previous, current = (current if feeds else []), []
        below, lower = (lower if is_stacked else previous), []
        try:
            layer = _declared_layer(entry, parts, found.overrides)
        except Misfit as misfit:
            yield refusal(parts, misfit)
            feeds = False
            continue
        layer = replace(layer, **_fed(layer, below))
        yield layer
        lower = [layer]
        current.append(layer)
        feeds = _feeds(entry.options)


def _is_stacked(first: DeclaredLayer, second: DeclaredLayer) -> bool:
    """Whether two cells stand on each other in one layer."""
    places = {entry.name.rpartition("/")[0] for entry in (first, second)}
    return len(places) == 1 and first.kind.endswith("Cell") and second.kind.endswith("Cell")


def _feeds(options: Mapping[str, Any]) -> bool:
    """Whether the next layer sees the states of this one side by side, in the order of the inputs.

    Only Bidirectional turns the states of a layer that goes backwards round again.
    """
    turns_round = options.get("direction") == "backward"
    return (
        options.get("return_sequences") is True
        and options.get("merge_mode", "concat") == "concat"
        and options.get("go_backwards", turns_round) is turns_round
    )


def _declared_layer(
    entry: DeclaredLayer, parts: Mapping[str, Weight], overrides: Mapping[str, Override]
) -> Layer:
    if entry.missing:
        reasons = (f"{role} of {entry.name}: {reason}" for role, reason in entry.missing.items())
        raise Misfit("; ".join(reasons))
    name = entry.name.replace("/", ".")
    said = overrides.get(name, Override())
    replaced = {"activation": said.activation, "recurrent_activation": said.gate_activation}
    options = {option: value for option, value in entry.options.items() if replaced.get(option) is None}
    return _layer(name, entry.kind.removesuffix("Cell"), parts, options)


def _fed(layer: Layer, below: list[Layer]) -> dict[str, Any]:
    """The layers before this one in the configuration, where their states are as wide as its inputs."""
    if not below or sum(lower.output_size or 0 for lower in below) != layer.input_width:
        return {}
    names = tuple(lower.name for lower in below)
    says = f"fed by {' and '.join(names)}: the layer before it in the configuration, as wide as its inputs"
    return {"below": names, "assumptions": {**layer.assumptions, "below": says}}


def _layer(name: str, kind: str, parts: Mapping[str, Weight], options: Mapping[str, Any]) -> Layer:
    if kind not in _KINDS:
        raise Misfit(f"{name} is a {kind}, which is no cell here")
    if not {"kernel", "recurrent_kernel"} <= set(parts):
        raise Misfit(f"{name} lacks its kernel or its recurrent_kernel")
    cell = _KINDS[kind]
    size = _checked(name, cell, parts)
    assumptions: dict[str, str] = {}
    activation = _activation(name, "activation", options, "tanh", assumptions)
    parameters: dict[str, Any] = {
        "weights": parts["recurrent_kernel"].T,
        "input_weights": parts["kernel"].T,
        "activation": activation,
        **_OTHERWISE.get(activation, {}),
    }
    if cell != "rnn":
        parameters["gate_activation"] = _activation(
            name, "recurrent_activation", options, "sigmoid", assumptions, "gate_activation"
        )
    if "bias" in parts:
        parameters |= _biases(kind, parts["bias"], size)
    if cell == "gru":
        parameters |= _variant(parts.get("bias"), kind, options, assumptions, size)
    backwards = options.get("go_backwards", options.get("direction") == "backward")
    return Layer(
        name,
        "keras",
        cell,
        parameters,
        order=_ORDERS.get(cell),
        direction="backward" if backwards else "forward",
        assumptions=assumptions,
    )


def _checked(name: str, cell: str, parts: Mapping[str, Weight]) -> int:
    """Return H, having checked the kernels and the bias."""
    recurrent = parts["recurrent_kernel"]
    check_shape(f"the recurrent_kernel of {name}", recurrent, None, None)
    size, columns = recurrent.shape
    if GATES[gates_of(f"the recurrent_kernel of {name}", columns, size)] != cell:
        raise Misfit(f"the recurrent_kernel of {name} is {list(recurrent.shape)}, which makes no {cell}")
    check_shape(f"the kernel of {name}", parts["kernel"], None, columns)
    if "bias" in parts and parts["bias"].shape not in ((columns,), (2, columns), (2 * columns,)):
        raise Misfit(
            f"the bias of {name} is {list(parts['bias'].shape)}, and the kernels need [{columns}] or [2, {columns}]"
        )
    return size


def _biases(kind: str, bias: Weight, size: int) -> dict[str, Weight]:
    """One bias, or the two rows of a GRU with reset_after; cuDNN's layers keep both behind one another."""
    if len(bias.shape) == 2:
        return {"input_bias": bias.at(0), "recurrent_bias": bias.at(1)}
    width = (3 if "GRU" in kind else 4 if "LSTM" in kind else 1) * size
    if bias.shape == (2 * width,):
        return {"input_bias": bias.part(0, width), "recurrent_bias": bias.part(width, 2 * width)}
    return {"bias": bias}


def _variant(
    bias: Weight | None, kind: str, options: Mapping[str, Any], assumptions: dict[str, str], size: int
) -> dict[str, str]:
    said = options.get("reset_after")
    if bias is not None:
        after = bias.shape != (3 * size,)
        says = f"reset gate {'after' if after else 'before'} the product: told by a bias {list(bias.shape)}"
    elif said is not None or kind.startswith("CuDNN"):
        after, says = said is not False, ""
    else:
        after, says = (
            True,
            "reset gate after the product, Keras's default: there is no bias to tell by",
        )
    if says:
        assumptions["reset"] = says
    return {"reset": "after" if after else "before", "update": "keep"}


def _activation(
    name: str,
    option: str,
    options: Mapping[str, Any],
    usual: str,
    assumptions: dict[str, str],
    ours: str = "activation",
) -> str:
    said = options.get(option)
    if said is None:
        assumptions[ours] = TANH if ours == "activation" else "gates by the sigmoid: the file does not say"
        return usual
    word = said.get("class_name", said.get("name")) if isinstance(said, Mapping) else said
    if str(word).lower() not in ACTIVATIONS:
        raise Misfit(
            f"{name} has {option} {str(word)[:40]!r}, which no cell here has; say another {ours} in `layers`"
        )
    activation = ACTIVATIONS[str(word).lower()]
    if ours == "gate_activation" and activation in _OTHERWISE:
        raise Misfit(
            f"{name} has {option} {activation!r}, and gates here have other parameters; say another {ours} in `layers`"
        )
    return activation


def _undeclared(found: Found) -> Iterator[Layer | Refusal]:
    for path in found.modules:
        leaves = found.modules[path]
        parts = {role: leaves[role] for role in _ROLES if role in leaves}
        place = path
        if path and path[-1] == "vars":
            parts = {role: leaves[str(i)] for i, role in enumerate(_ROLES) if str(i) in leaves}
            place = path[:-2] if path[-2:-1] == ("cell",) else path[:-1]
        if "recurrent_kernel" not in parts or len(parts["recurrent_kernel"].shape) != 2:
            continue
        size, columns = parts["recurrent_kernel"].shape
        try:
            gates = gates_of(f"the recurrent_kernel of {layer_name(place)}", columns, size)
            kind = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}[gates]
            layer = _layer(layer_name(place), kind, parts, {"direction": direction_of(place)})
        except Misfit as misfit:
            yield refusal(parts, misfit)
            continue
        yield layer
