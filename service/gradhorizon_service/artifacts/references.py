"""`{"artifact": hash, "name": tensor}` in a request: which are meant, what has to be loaded, and why some cannot be."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..analysis.errors import LimitExceeded
from ..formats.json_path import json_path
from .errors import ArtifactNotFound
from .store import HASH, ArtifactStore

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple[str, str | None]
"""Hash and name, as they stand in the request."""
Loaded = Mapping[Key, Array | str]
"""What a reference means: the array, or why there is none, as a sentence about the field."""

_NAMES_COMPARED = 1000
_NAMES_SHOWN = 5
_SUGGESTIONS = 3
"""Faults of one request that come with names near the one that is missing: comparing takes time."""
_BYTES_OF_A_NUMBER = 8


@dataclass(frozen=True)
class Reference:
    """One reference, and where it stands first."""

    key: Key
    path: str


@dataclass
class Plan:
    """What to load for the references of one request."""

    tensors: dict[Key, Key] = field(default_factory=dict)
    """Reference -> hash and name of the tensor, where `name` may be left out for the only one."""
    faults: dict[Key, str] = field(default_factory=dict)
    total_bytes: int = 0
    """Of the arrays in double precision."""

    def names(self) -> Mapping[str, list[str]]:
        """The tensors to load, by artifact."""
        wanted: dict[str, set[str]] = {}
        for sha256, name in self.tensors.values():
            wanted.setdefault(sha256, set()).add(str(name))
        return {sha256: sorted(names) for sha256, names in wanted.items()}

    def loaded(self, arrays: Mapping[str, Mapping[str, Array] | str]) -> Loaded:
        """What every reference means, given the tensors of each artifact, or why they could not be loaded."""
        found: dict[Key, Array | str] = dict(self.faults)
        for key, (sha256, name) in self.tensors.items():
            tensors = arrays[sha256]
            found[key] = tensors if isinstance(tensors, str) else tensors[str(name)]
        return found


def references_of(tree: Any) -> list[Reference]:
    """Find the references in a parsed request, each once; what is not quite one is left to the schema."""
    found: dict[Key, Reference] = {}
    for key, steps in _found(tree, ()):
        found.setdefault(key, Reference(key, json_path(steps)))
    return list(found.values())


def plan(
    store: ArtifactStore,
    references: Iterable[Reference],
    max_artifacts: float = math.inf,
    max_bytes: float = math.inf,
) -> Plan:
    """Look every reference up in what is known of its artifact. Raises LimitExceeded; nothing is opened."""
    planned = Plan()
    known: dict[str, Mapping[str, Any] | str] = {}
    for reference in references:
        sha256, name = reference.key
        if sha256 not in known:
            if len(known) == max_artifacts:
                raise LimitExceeded(reference.path, "max_parts", max_artifacts, max_artifacts + 1)
            known[sha256] = _tensors(store, sha256)
        tensor = _tensor(known[sha256], name, len(planned.faults) < _SUGGESTIONS)
        if isinstance(tensor, str):
            planned.faults[reference.key] = tensor
            continue
        planned.tensors[reference.key] = (sha256, tensor["name"])
        planned.total_bytes += _BYTES_OF_A_NUMBER * tensor["elements"]
        if planned.total_bytes > max_bytes:
            raise LimitExceeded(reference.path, "max_body_bytes", max_bytes, planned.total_bytes)
    return planned


def _found(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[Key, tuple[str | int, ...]]]:
    if isinstance(value, dict):
        sha256, name = value.get("artifact"), value.get("name")
        if isinstance(sha256, str) and (name is None or isinstance(name, str)):
            yield (sha256, name), steps
        for key, inner in value.items():
            yield from _found(inner, (*steps, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _found(inner, (*steps, index))


def _tensors(store: ArtifactStore, sha256: str) -> Mapping[str, Any] | str:
    """Return the tensors of an artifact by name, or why there are none."""
    if not HASH.fullmatch(sha256):
        return "names an artifact by something other than its sha256, 64 lower-case hexadecimal digits"
    try:
        description = json.loads(store.describe(sha256))
    except ArtifactNotFound:
        return "refers to an artifact that is not here; upload the file with POST /v1/artifacts and use its sha256"
    return {tensor["name"]: tensor for tensor in description["tensors"]}


def _tensor(tensors: Mapping[str, Any] | str, name: str | None, suggest: bool) -> Mapping[str, Any] | str:
    """Return what is known of one tensor, or why it cannot be meant."""
    if isinstance(tensors, str):
        return tensors
    if name is None and len(tensors) != 1:
        return (
            f"refers to an artifact of {len(tensors)} tensors; say which with 'name': {_shown(list(tensors))}"
        )
    if name is not None and name not in tensors:
        near = _near(name, list(tensors)) if suggest else []
        return f"refers to an artifact that holds no tensor of that name; {_instead(near, tensors)}"
    tensor: Mapping[str, Any] = tensors[next(iter(tensors)) if name is None else name]
    reason = tensor["unread_reason"]
    return f"refers to an artifact that {reason}" if reason else tensor


def _instead(near: list[str], tensors: Mapping[str, Any]) -> str:
    return f"near it are {_shown(near)}" if near else f"it holds {_shown(list(tensors))}"


def _near(name: str, names: list[str]) -> list[str]:
    """Return the names most like it, whatever their case."""
    by_lower = {other[:200].lower(): other for other in names[:_NAMES_COMPARED]}
    return [by_lower[match] for match in get_close_matches(name[:200].lower(), by_lower, _NAMES_SHOWN)]


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(repr(name[:80]) for name in names[:_NAMES_SHOWN]) + more
