"""Flax: linen's cells keep a module for each gate, NNX's fused ones `dense_i` and `dense_h`. Kernels (in, out)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..layer import Layer, Misfit, Refusal
from ..modules import Path
from ..weight import Weight, stacked, zeros
from ._family import GATES, TANH, Found, check_shape, direction_of, gates_of, layer_name, refusal

Gate = Mapping[str, Weight]


def flax(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise the cells of linen and NNX by the names of the modules inside them."""
    for path, names in found.modules.children().items():
        for needed, build in _CELLS:
            if not needed <= names:
                continue
            inside = {name: found.modules[(*path, name)] for name in names}
            parts = [weight for name in needed for weight in inside[name].values()]
            try:
                if any("kernel" not in inside[name] for name in needed):
                    break
                yield build(path, inside)
            except Misfit as misfit:
                yield refusal(parts, misfit)
            break


def _gates(inside: Mapping[str, Gate], names: tuple[str, ...]) -> Weight:
    """Kernels of gates as one matrix (out, in), checked to be equally large."""
    first = inside[names[0]]["kernel"]
    for name in names:
        check_shape(f"the kernel of {name}", inside[name]["kernel"], *first.shape[:2])
    return stacked([inside[name]["kernel"].T for name in names])


def _biases(inside: Mapping[str, Gate], names: tuple[str, ...], size: int) -> Weight | None:
    """Biases of gates as one vector, zero where a gate has none."""
    found = [inside[name].get("bias") for name in names]
    for name, bias in zip(names, found, strict=True):
        if bias is not None:
            check_shape(f"the bias of {name}", bias, size)
    return None if not any(found) else stacked([zeros(size) if bias is None else bias for bias in found])


def _square(inside: Mapping[str, Gate], name: str) -> int:
    """H, the side of one gate's recurrent kernel."""
    kernel = inside[name]["kernel"]
    check_shape(f"the kernel of {name}", kernel, None, None)
    check_shape(f"the kernel of {name}", kernel, kernel.shape[1], kernel.shape[1])
    return kernel.shape[1]


def _made(path: Path, cell: str, parameters: Mapping[str, Any], **more: Any) -> Layer:
    kept = {name: value for name, value in parameters.items() if value is not None}
    order = {"lstm": "ifgo", "gru": "rzn"}.get(cell)
    direction = direction_of(path)
    return Layer(layer_name(path), "flax", cell, kept, order=order, direction=direction, **more)  # type: ignore[arg-type]


def _lstm(forget: str) -> Callable[[Path, Mapping[str, Gate]], Layer]:
    def build(path: Path, inside: Mapping[str, Gate]) -> Layer:
        size = _square(inside, "hi")
        into, around = ("ii", forget, "ig", "io"), ("hi", "hf", "hg", "ho")
        return _made(
            path,
            "lstm",
            {
                "weights": _gates(inside, around),
                "input_weights": _gates(inside, into),
                "input_bias": _biases(inside, into, size),
                "recurrent_bias": _biases(inside, around, size),
            },
        )

    return build


def _gru(path: Path, inside: Mapping[str, Gate]) -> Layer:
    size = _square(inside, "hr")
    into, around = ("ir", "iz", "in"), ("hr", "hz", "hn")
    return _made(
        path,
        "gru",
        {
            "weights": _gates(inside, around),
            "input_weights": _gates(inside, into),
            "input_bias": _biases(inside, into, size),
            "recurrent_bias": _biases(inside, around, size),
            "reset": "after",
            "update": "keep",
        },
    )


def _minimal(path: Path, inside: Mapping[str, Gate]) -> Layer:
    """f = sigma(.), n = tanh(in(x) + f * hn(h)), h' = (1 - f) n + f h: a GRU whose gates r and z are one."""
    size = _square(inside, "hf")
    if "bias" not in inside["hn"]:
        raise Misfit(
            f"{layer_name(path)} has no bias in hn: a minimal gated unit without reset, which no cell here is"
        )
    into, around = ("if", "if", "in"), ("hf", "hf", "hn")
    says = "a minimal gated unit, read as a GRU whose reset and update gates are the same"
    return _made(
        path,
        "gru",
        {
            "weights": _gates(inside, around),
            "input_weights": _gates(inside, into),
            "input_bias": _biases(inside, into, size),
            "recurrent_bias": _biases(inside, around, size),
            "reset": "after",
            "update": "keep",
        },
        assumptions={"variant": says},
    )


_NO_RESIDUAL = "no residual inside the cell: the parameters do not show it"


def _simple(path: Path, inside: Mapping[str, Gate]) -> Layer:
    size = _square(inside, "h")
    check_shape("the kernel of i", inside["i"]["kernel"], None, size)
    return _made(
        path,
        "rnn",
        {
            "weights": inside["h"]["kernel"].T,
            "input_weights": inside["i"]["kernel"].T,
            "input_bias": _biases(inside, ("i",), size),
            "recurrent_bias": _biases(inside, ("h",), size),
            "activation": "tanh",
        },
        assumptions={"activation": TANH, "residual": _NO_RESIDUAL},
    )


def _fused(path: Path, inside: Mapping[str, Gate]) -> Layer:
    recurrent = inside["dense_h"]["kernel"]
    check_shape("the kernel of dense_h", recurrent, None, None)
    size, columns = recurrent.shape
    cell = GATES[gates_of("the kernel of dense_h", columns, size)]
    check_shape("the kernel of dense_i", inside["dense_i"]["kernel"], None, columns)
    parameters: dict[str, Any] = {
        "weights": recurrent.T,
        "input_weights": inside["dense_i"]["kernel"].T,
        "input_bias": _biases(inside, ("dense_i",), columns),
        "recurrent_bias": _biases(inside, ("dense_h",), columns),
    }
    if cell == "gru":
        return _made(path, cell, parameters | {"reset": "after", "update": "keep"})
    if cell == "lstm":
        return _made(path, cell, parameters)
    assumed = {"activation": TANH, "residual": _NO_RESIDUAL}
    return _made(path, cell, parameters | {"activation": "tanh"}, assumptions=assumed)


_CELLS: tuple[tuple[frozenset[str], Callable[[Path, Mapping[str, Gate]], Layer]], ...] = (
    (frozenset({"ii", "if", "ig", "io", "hi", "hf", "hg", "ho"}), _lstm("if")),
    (frozenset({"ii", "if_", "ig", "io", "hi", "hf", "hg", "ho"}), _lstm("if_")),
    (frozenset({"ir", "iz", "in", "hr", "hz", "hn"}), _gru),
    (frozenset({"if", "in", "hf", "hn"}), _minimal),
    (frozenset({"dense_i", "dense_h"}), _fused),
    (frozenset({"i", "h"}), _simple),
)
"""The modules inside a cell -> how it is put together; the first that are all there."""
