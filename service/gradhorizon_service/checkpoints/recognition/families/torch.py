"""PyTorch: nn.RNN, nn.LSTM, nn.GRU and their cells. Weights (out, in), gates i, f, g, o and r, z, n, two biases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..layer import Layer, Misfit, Refusal
from ..modules import Path
from ..weight import Weight
from ._family import GATES, TANH, Found, check_shape, gates_of, layer_name, refusal

_HH = re.compile(r"weight_hh(?P<suffix>(?:_l(?P<index>\d+)(?P<reverse>_reverse)?)?)")
_ROLES = {
    "weights": "weight_hh",
    "input_weights": "weight_ih",
    "input_bias": "bias_ih",
    "recurrent_bias": "bias_hh",
    "projection": "weight_hr",
}
_ORDERS = {"lstm": "ifgo", "gru": "rzn"}


def torch(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise layers by `weight_hh_l0`, `weight_hh_l0_reverse`, ... and cells by `weight_hh`."""
    for path in found.modules:
        leaves = found.modules[path]
        matches = [match for leaf in leaves if (match := _HH.fullmatch(leaf))]
        matches.sort(key=lambda match: (int(match["index"] or 0), match["reverse"] is not None))
        layers: dict[str, Layer] = {}
        for match in matches:
            if not match["suffix"] and "bias" in leaves:
                continue  # one bias: Equinox
            parts = {
                role: leaves[theirs + match["suffix"]]
                for role, theirs in _ROLES.items()
                if theirs + match["suffix"] in leaves
            }
            try:
                layer = _layer(path, match, parts, layers)
            except Misfit as misfit:
                yield refusal(parts, misfit)
                continue
            layers[match["suffix"]] = layer
            yield layer


def _layer(
    path: Path, match: re.Match[str], parts: Mapping[str, Weight], lower: Mapping[str, Layer]
) -> Layer:
    cell = _checked(match["suffix"], parts)
    name = layer_name(path, match["suffix"].removeprefix("_"))
    parameters: dict[str, Any] = dict(parts)
    assumptions = {}
    if cell == "rnn":
        parameters["activation"] = "tanh"
        assumptions["activation"] = TANH
    elif cell == "gru":
        parameters |= {"reset": "after", "update": "keep"}
    return Layer(
        name,
        "torch",
        cell,
        parameters,
        order=_ORDERS.get(cell),
        direction="backward" if match["reverse"] else "forward",
        below=_below(match["index"], parts.get("input_weights"), lower),
        assumptions=assumptions,
    )


def _checked(suffix: str, parts: Mapping[str, Weight]) -> str:
    """Return the cell, having checked every shape against the recurrent matrix."""
    hh, hr = parts["weights"], parts.get("projection")
    check_shape(f"weight_hh{suffix}", hh, None, None)
    rows, columns = hh.shape
    if hr is None:
        cell = GATES[gates_of(f"weight_hh{suffix}", rows, columns)]
    else:
        if rows % 4:
            raise Misfit(f"weight_hh{suffix} has {rows} rows; an LSTM with a projection has 4 for each unit")
        check_shape(f"weight_hr{suffix}", hr, columns, rows // 4)
        cell = "lstm"
    if "input_weights" in parts:
        check_shape(f"weight_ih{suffix}", parts["input_weights"], rows, None)
    for role, theirs in (("input_bias", "bias_ih"), ("recurrent_bias", "bias_hh")):
        if role in parts:
            check_shape(f"{theirs}{suffix}", parts[role], rows)
    return cell


def _below(index: str | None, input_weights: Weight | None, lower: Mapping[str, Layer]) -> tuple[str, ...]:
    """Return the layers one step down, forward first, where their states are as wide as the inputs."""
    if not index or index == "0" or input_weights is None:
        return ()
    suffix = f"_l{int(index) - 1}"
    found = [lower[name] for name in (suffix, f"{suffix}_reverse") if name in lower]
    width = sum(layer.output_size or 0 for layer in found)
    return tuple(layer.name for layer in found) if width == input_weights.shape[1] else ()
