"""The recurrent layers of a Keras configuration, and which datasets hold their weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..checkpoint import DeclaredLayer
from ..errors import Damaged

ROLES = ("kernel", "recurrent_kernel", "bias")
"""In the order in which Keras 3 numbers the variables of a cell."""

_KINDS = {
    "SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "SimpleRNNCell", "LSTMCell", "GRUCell",
}  # fmt: skip

_OPTIONS = (
    "units", "activation", "recurrent_activation", "use_bias", "reset_after", "unit_forget_bias", "go_backwards",
    "return_sequences", "return_state", "stateful", "time_major", "implementation",
)  # fmt: skip

_DEEPEST = 16


@dataclass(frozen=True)
class _Found:
    """A recurrent layer of the configuration: its names from the outside in, its place in a Keras 3 file."""

    names: tuple[str, ...]
    place: str
    kind: str
    config: Mapping[str, Any]
    wrapping: Mapping[str, Any]


def declared_layers(
    config: Any, paths: Sequence[str], names: Mapping[str, str] | None = None
) -> tuple[DeclaredLayer, ...]:
    """Return every recurrent layer of a configuration.

    `paths` are the datasets of the file, `names` what Keras 3 notes of a group: the layer's name in the configuration.
    """
    if not isinstance(config, dict):
        return ()
    return tuple(_declared(found, paths) for found in _layers(config, (), "", names or {}, {}, 0))


def _layers(
    entry: Any,
    outer: tuple[str, ...],
    place: str,
    names: Mapping[str, str],
    wrapping: Mapping[str, Any],
    depth: int,
) -> Iterator[_Found]:
    """Yield what is recurrent in one entry of the configuration and inside it."""
    if depth > _DEEPEST:
        raise Damaged(f"has a configuration with layers nested deeper than {_DEEPEST} levels")
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), (dict, list)):
        return
    kind, config = entry.get("class_name"), entry["config"]
    if isinstance(config, list):  # a Sequential of early versions is its list of layers
        config = {"layers": config}
    name = config.get("name", entry.get("name"))
    own = (*outer, name) if isinstance(name, str) and depth else outer
    if kind in _KINDS:
        yield _Found(own, place, str(kind), config, wrapping)
    elif kind == "Bidirectional":
        yield from _both_ways(config, own, place, names, depth)
    elif isinstance(config.get("layers"), list):
        children = list(_places(config["layers"], f"{place}layers/", names))
        for child, inner in children:
            yield from _layers(child, own, inner, names, wrapping, depth + 1)
    elif isinstance(config.get("layer"), dict):
        yield from _layers(config["layer"], own, f"{place}layer/", names, wrapping, depth + 1)
    elif isinstance(config.get("cell"), dict):
        yield from _cells(config, own, place, wrapping)


def _both_ways(
    config: Mapping[str, Any], own: tuple[str, ...], place: str, names: Mapping[str, str], depth: int
) -> Iterator[_Found]:
    forward = config.get("layer")
    backward = config.get("backward_layer") or _mirrored(forward, "backward_")
    if not isinstance(config.get("backward_layer"), dict):
        forward = _mirrored(forward, "forward_")
    for direction, layer in (("forward", forward), ("backward", backward)):
        wrapping = {"direction": direction, "merge_mode": config.get("merge_mode")}
        yield from _layers(layer, own, f"{place}{direction}_layer/", names, wrapping, depth + 1)


def _mirrored(layer: Any, prefix: str) -> Any:
    """Return the entry of one direction where the configuration holds one layer for both: only its name differs."""
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        return layer
    config = layer["config"]
    name = str(config.get("name", ""))
    backwards = {"go_backwards": not config.get("go_backwards", False)} if prefix == "backward_" else {}
    return {
        **layer,
        "config": {**config, **backwards, "name": name if name.startswith(prefix) else prefix + name},
    }


def _cells(
    config: Mapping[str, Any], own: tuple[str, ...], place: str, wrapping: Mapping[str, Any]
) -> Iterator[_Found]:
    """Yield the cells of a general RNN layer, one or a stack of them."""
    cell, outer = (
        config["cell"],
        {name: config[name] for name in ("go_backwards", "return_sequences") if name in config},
    )
    inner = cell.get("config") if isinstance(cell.get("config"), dict) else {}
    stack = inner.get("cells") if isinstance(inner.get("cells"), list) else None
    places = _places(stack, f"{place}cell/cells/", {}) if stack is not None else [(cell, f"{place}cell/")]
    for one, where in places:
        if isinstance(one, dict) and isinstance(one.get("config"), dict):
            name = (*own, one["config"]["name"]) if isinstance(one["config"].get("name"), str) else own
            yield _Found(name, where, str(one.get("class_name")), {**outer, **one["config"]}, wrapping)


def _places(entries: Sequence[Any], prefix: str, names: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """Yield every layer of a list with its group: the one that bears its name, else the next of its class."""
    named = {
        name: f"{group}/"
        for group, name in names.items()
        if group.startswith(prefix) and "/" not in group.removeprefix(prefix)
    }
    used: dict[str, int] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        kind = _snake_case(str(entry.get("class_name")))
        count = used[kind] = used.get(kind, -1) + 1
        config = entry.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        counted = f"{prefix}{kind}{f'_{count}' if count else ''}/"
        yield entry, named.get(name, counted) if isinstance(name, str) else counted


def _snake_case(name: str) -> str:
    """Write a class name as Keras does in its files: `SimpleRNN` is `simple_rnn`."""
    name = re.sub(r"\W+", "", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _declared(found: _Found, paths: Sequence[str]) -> DeclaredLayer:
    tensors = _numbered(found, paths) or _named(found, paths)
    options = {name: found.config[name] for name in _OPTIONS if name in found.config}
    wanted = [role for role in ROLES if role != "bias" or found.config.get("use_bias", True)]
    missing = {role: "the file holds no dataset for it" for role in wanted if role not in tensors}
    return DeclaredLayer("/".join(found.names), found.kind, {**options, **found.wrapping}, tensors, missing)


def _numbered(found: _Found, paths: Sequence[str]) -> dict[str, str]:
    """Return the weights in a Keras 3 file, where a cell's variables are numbered."""
    there = set(paths)
    for inside in ("cell/vars", "vars"):
        places = {role: f"{found.place}{inside}/{index}" for index, role in enumerate(ROLES)}
        if places["kernel"] in there:
            return {role: place for role, place in places.items() if place in there}
    return {}


def _named(found: _Found, paths: Sequence[str]) -> dict[str, str]:
    """Return the weights in an older file: named as their role, in groups named as the layers around them."""
    matching = [
        path for path in paths if _passes(path.split("/"), found.names) and not path.startswith("optimizer")
    ]
    parents = {path.rpartition("/")[0] for path in matching}
    if len(parents) != 1:
        return {}
    by_role = {path.rpartition("/")[2].partition(":")[0]: path for path in matching}
    return {role: by_role[role] for role in ROLES if role in by_role}


def _passes(parts: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a path goes through groups of all these names, in this order."""
    rest = iter(parts[:-1])
    return all(any(part == name for part in rest) for name in names)
