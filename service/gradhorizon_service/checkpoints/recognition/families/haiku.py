"""Haiku: hk.LSTM adds 1 to its forget gate when it runs, hk.GRU replaces where others keep. Weights (in, out)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..layer import Layer, Misfit, Refusal
from ..weight import Weight
from ._family import Found, check_shape, gates_of, layer_name, refusal


def haiku(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise a GRU by `w_i` and `w_h`, an LSTM by `linear` in a module so called, an RNN by `hidden_to_hidden`."""
    children = found.modules.children()
    for path in found.modules:
        if {"w_i", "w_h"} <= set(found.modules[path]):
            yield from _tried(_gru, path, dict(found.modules[path]))
    for path, names in children.items():
        if (
            "linear" in names
            and path
            and "lstm" in path[-1].lower()
            and "w" in found.modules[(*path, "linear")]
        ):
            yield from _tried(_lstm, path, dict(found.modules[(*path, "linear")]))
        if {"input_to_hidden", "hidden_to_hidden"} <= names:
            parts = {
                f"{name}/{leaf}": weight
                for name in ("input_to_hidden", "hidden_to_hidden")
                for leaf, weight in found.modules[(*path, name)].items()
            }
            yield from _tried(_vanilla, path, parts)


def _tried(build: Any, path: tuple[str, ...], parts: dict[str, Weight]) -> Iterator[Layer | Refusal]:
    try:
        yield build(path, parts)
    except Misfit as misfit:
        yield refusal(parts, misfit)


def _lstm(path: tuple[str, ...], parts: dict[str, Weight]) -> Layer:
    return joined_lstm(layer_name(path), "haiku", parts["w"], parts.get("b"), "igfo", 1.0)


def joined_lstm(
    name: str, framework: str, kernel: Weight, bias: Weight | None, order: str, forget_bias: float
) -> Layer:
    """An LSTM whose one kernel (I + H, 4H) acts on inputs and state side by side."""
    check_shape(f"the kernel of {name}", kernel, None, None)
    rows, columns = kernel.shape
    size = columns // 4
    if columns % 4 or rows <= size:
        raise Misfit(f"the kernel of {name} is {list(kernel.shape)}; an LSTM's is [inputs + H, 4 H]")
    both = kernel.T
    parameters = {
        "weights": both.made((columns, size), lambda W: W[:, -size:]),
        "input_weights": both.made((columns, rows - size), lambda W: W[:, :-size]),
    }
    if bias is not None:
        check_shape(f"the bias of {name}", bias, columns)
        parameters["bias"] = bias
    says = f"{forget_bias:g} added to the forget gate, as {framework} does when the cell runs"
    return Layer(
        name,
        framework,
        "lstm",
        parameters,
        order=order,
        forget_bias=forget_bias,
        assumptions={"forget_bias": says},
    )


def _gru(path: tuple[str, ...], parts: dict[str, Weight]) -> Layer:
    name = layer_name(path)
    check_shape(f"w_h of {name}", parts["w_h"], None, None)
    size, columns = parts["w_h"].shape
    gates_of(f"w_h of {name}", columns, size, (3,))
    check_shape(f"w_i of {name}", parts["w_i"], None, columns)
    parameters: dict[str, Any] = {"weights": parts["w_h"].T, "input_weights": parts["w_i"].T}
    if "b" in parts:
        check_shape(f"b of {name}", parts["b"], columns)
        parameters["bias"] = parts["b"]
    says = "reset gate before the product and an update gate that replaces, as Haiku's GRU has them"
    return Layer(
        name,
        "haiku",
        "gru",
        {**parameters, "reset": "before", "update": "replace"},
        order="zrn",
        assumptions={"variant": says},
    )


def _vanilla(path: tuple[str, ...], parts: dict[str, Weight]) -> Layer:
    name = layer_name(path)
    if not {"input_to_hidden/w", "hidden_to_hidden/w"} <= set(parts):
        raise Misfit(f"{name} lacks a weight w")
    recurrent = parts["hidden_to_hidden/w"]
    check_shape(f"hidden_to_hidden of {name}", recurrent, None, None)
    size = recurrent.shape[0]
    check_shape(f"hidden_to_hidden of {name}", recurrent, size, size)
    check_shape(f"input_to_hidden of {name}", parts["input_to_hidden/w"], None, size)
    parameters: dict[str, Any] = {
        "weights": recurrent.T,
        "input_weights": parts["input_to_hidden/w"].T,
        "activation": "relu",
    }
    for field, part in (("input_bias", "input_to_hidden/b"), ("recurrent_bias", "hidden_to_hidden/b")):
        if part in parts:
            check_shape(f"{part} of {name}", parts[part], size)
            parameters[field] = parts[part]
    says = "activation relu, which hk.VanillaRNN has"
    return Layer(name, "haiku", "rnn", parameters, assumptions={"activation": says})
