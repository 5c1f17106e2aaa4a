"""Networks found in a file of arrays: recurrent layers under PyTorch's names, request fields, or one bare matrix."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._arrays import ArrayFile, CannotRead

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTORCH = re.compile(r"(?P<prefix>(?:.*\.)?)weight_hh(?P<suffix>(?:_l\d+(?:_reverse)?)?)")
"""The recurrent matrix of a layer of nn.RNN (`..._l0`, `..._l0_reverse`) or of nn.RNNCell (no suffix)."""

SIBLINGS = {"input_weights": "weight_ih", "input_bias": "bias_ih", "recurrent_bias": "bias_hh"}
"""Request fields and PyTorch's names of what stands beside the recurrent matrix."""

PARAMETERS = ("weights", "input_weights", "bias", "input_bias", "recurrent_bias")
"""The request fields an array of a file can fill."""


@dataclass
class Found:
    """The network of a request, and what was assumed to make one."""

    network: dict[str, Any]
    assumptions: list[str] = field(default_factory=list)


def find_network(
    arrays: ArrayFile, *, named: Mapping[str, str], cell: str | None, activation: str | None
) -> Found:
    """Return the network of a file; `named` says which array fills which field, where the user said so.

    Raises CannotRead where the file holds none, or more than one and nothing says which.
    """
    names = {**_names(arrays, named.get("weights")), **named}
    weights = arrays[names["weights"]]
    if cell == "jacobians" or (cell is None and weights.ndim == 3):
        assumption = f"{names['weights']} is read as step Jacobians (T, N, N), the first applied first"
        return Found({"cell": "jacobians", "values": weights}, [assumption])
    _check_gates(names["weights"], weights.shape)
    found = Found({"cell": cell or "rnn", **{name: arrays[names[name]] for name in names}})
    if found.network["cell"] == "rnn":
        found.network["activation"] = activation or "tanh"
        if activation is None:
            found.assumptions.append("activation tanh: files do not say; --activation names another one")
    elif activation is not None:
        raise CannotRead(f"--activation belongs to the cell rnn, not to {found.network['cell']}")
    fields = ", ".join(f"{name} = {array}" for name, array in names.items())
    found.assumptions.append(f"read from {arrays.path.name} as one {found.network['cell']} cell: {fields}")
    return found


def _names(arrays: ArrayFile, weights: str | None) -> dict[str, str]:
    """Return which array fills which field, from the names in the file."""
    if weights is not None:
        match = PYTORCH.fullmatch(weights)
        return _siblings(arrays, match) if match else {"weights": weights}
    layers = [match for name in arrays.shapes if (match := PYTORCH.fullmatch(name))]
    if len(layers) == 1:
        return _siblings(arrays, layers[0])
    if len(layers) > 1:
        choices = "\n".join(f"  --weights {match.group()}" for match in layers)
        raise CannotRead(f"{arrays.path} holds {len(layers)} recurrent layers; say which one:\n{choices}")
    if "weights" in arrays:
        return {name: name for name in PARAMETERS if name in arrays}
    if len(arrays.shapes) == 1:
        return {"weights": next(iter(arrays.shapes))}
    raise CannotRead(
        f"{arrays.path} holds no recurrent layer by PyTorch's names (weight_hh_l0) and no array `weights`; "
        f"name the recurrent matrix with --weights:\n{arrays.listing()}"
    )


def _siblings(arrays: ArrayFile, match: re.Match[str]) -> dict[str, str]:
    prefix, suffix = match["prefix"], match["suffix"]
    candidates = {name: f"{prefix}{theirs}{suffix}" for name, theirs in SIBLINGS.items()}
    return {
        "weights": match.group(),
        **{name: array for name, array in candidates.items() if array in arrays},
    }


def _check_gates(name: str, shape: tuple[int, ...]) -> None:
    """Refuse stacked gates by what they are, rather than as a matrix that is not square."""
    gates = {3: "a GRU", 4: "an LSTM"}
    if len(shape) == 2 and shape[1] and shape[0] % shape[1] == 0 and shape[0] // shape[1] in gates:
        kind = gates[shape[0] // shape[1]]
        raise CannotRead(
            f"{name} has shape {list(shape)}, the stacked gates of {kind}; this version reads plain recurrent layers"
        )
