"""Networks found in a file of arrays: recurrent layers under PyTorch's names, request fields, or one bare matrix."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._arrays import ArrayFile, CannotRead

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTORCH = re.compile(r"(?P<prefix>(?:.*\.)?)weight_hh(?P<suffix>(?:_l\d+(?:_reverse)?)?)")
"""The recurrent matrix of a layer of nn.RNN, nn.LSTM or nn.GRU (`..._l0`, `..._l0_reverse`), or a cell (no suffix)."""

SIBLINGS = {
    "input_weights": "weight_ih",
    "input_bias": "bias_ih",
    "recurrent_bias": "bias_hh",
    "projection": "weight_hr",
}
"""Request fields and PyTorch's names of what stands beside the recurrent matrix."""

PARAMETERS = ("weights", "input_weights", "bias", "input_bias", "recurrent_bias", "projection", "peepholes")
"""The request fields an array of a file can fill."""

GATED = {
    4: ("lstm", "the gates stacked i, f, g, o, as PyTorch does"),
    3: ("gru", "the gates stacked r, z, n and the reset gate after the product, as PyTorch does"),
}
"""Rows of the recurrent matrix for each of its columns -> the cell, and what that assumes."""


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
    kind, gates = _kind(weights.shape, "projection" in names)
    found = Found({"cell": cell or kind, **{name: arrays[names[name]] for name in names}})
    if found.network["cell"] == "linear" and activation is not None:
        raise CannotRead("--activation belongs to cells with a nonlinearity, not to linear")
    if found.network["cell"] != "linear":
        found.network["activation"] = activation or "tanh"
    if found.network["cell"] not in ("linear", "lstm", "gru") and activation is None:
        found.assumptions.append("activation tanh: files do not say; --activation names another one")
    if gates and found.network["cell"] == kind:
        found.assumptions.append(f"{kind}: {names['weights']} is {list(weights.shape)}, {gates}")
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


def _kind(shape: tuple[int, ...], is_projected: bool) -> tuple[str, str | None]:
    """Return the cell that a recurrent matrix belongs to, and what that assumes: gates are stacked."""
    if is_projected:
        return GATED[4]
    if len(shape) == 2 and shape[1] and shape[0] % shape[1] == 0:
        return GATED.get(shape[0] // shape[1], ("rnn", None))
    return "rnn", None
