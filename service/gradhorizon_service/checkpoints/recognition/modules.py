"""The tensors of a file as a tree of modules: names taken apart at dots and slashes, wrappers left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..checkpoint import Checkpoint
from ..tensor import Tensor
from .weight import Budget, Weight

Path = tuple[str, ...]

LEADING = frozenset({"module", "state_dict", "model_state_dict", "model_state", "params", "model_weights"})
"""Names that wrap a whole model: DataParallel, Lightning and training loops, Flax, Keras."""
ANYWHERE = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Names that wrap any module: torch.compile, sharding, checkpointing of activations."""


@dataclass
class Modules:
    """Path of a module -> its own weights by name, in the order of the file."""

    weights: dict[Path, dict[str, Weight]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stripped: set[str] = field(default_factory=set)

    def __getitem__(self, path: Path) -> Mapping[str, Weight]:
        return self.weights.get(path, {})

    def __iter__(self) -> Iterator[Path]:
        return iter(list(self.weights))

    def children(self) -> dict[Path, set[str]]:
        """Return the names of the modules inside each module."""
        found: dict[Path, set[str]] = {}
        for path in self.weights:
            if path:
                found.setdefault(path[:-1], set()).add(path[-1])
        return found

    def put(self, path: Path, name: str, weight: Weight) -> None:
        self.weights.setdefault(path, {})[name] = weight

    def without(self, names: set[str]) -> Modules:
        """Return what is left once these tensors of the file have found their place."""
        left = {
            path: {leaf: weight for leaf, weight in inside.items() if not names.intersection(weight.names)}
            for path, inside in self.weights.items()
        }
        return Modules({path: inside for path, inside in left.items() if inside}, self.skipped, self.stripped)


def modules_of(checkpoint: Checkpoint, budget: Budget) -> Modules:
    """Sort the tensors that can be weights into modules; the reasons of the others are in `skipped`."""
    found = Modules()
    paths = _paths(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        reason = _no_weight(tensor)
        if reason is not None:
            found.skipped[name] = reason
            continue
        path, stripped = paths[name]
        found.stripped |= stripped
        found.put(path[:-1], path[-1], Weight.of(tensor, budget))
    return found


def dotted(path: Path) -> str:
    """Write a path as layers are named."""
    return ".".join(path)


def _no_weight(tensor: Tensor) -> str | None:
    if tensor.role == "optimizer":
        return "is an optimizer's state"
    if tensor.element.dtype is None:
        return f"is stored as {tensor.dtype}, which is not read here"
    if not tensor.is_floating:
        return f"holds {tensor.element.name}: counters and indices are no weights"
    return "is empty" if not tensor.count else None


def _paths(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Path, set[str]]]:
    """Return where every tensor stands, wrappers left out unless two tensors would then stand at one place."""
    short = {name: _unwrapped(_parts(name)) for name in tensors}
    counts: dict[Path, int] = {}
    for path, _ in short.values():
        counts[path] = counts.get(path, 0) + 1
    return {name: found if counts[found[0]] == 1 else (_parts(name), set()) for name, found in short.items()}


def _parts(name: str) -> Path:
    parts = tuple(part for part in re.split(r"[./]", name) if part) or (name,)
    if len(parts) > 1 and parts[-1] == "value":  # how Flax NNX wraps each parameter
        parts = parts[:-1]
    return (*parts[:-1], re.sub(r":\d+$", "", parts[-1]))


def _unwrapped(parts: Path) -> tuple[Path, set[str]]:
    stripped: set[str] = set()
    kept = list(parts)
    while len(kept) > 1 and kept[0] in LEADING | ANYWHERE:
        stripped.add(kept.pop(0))
    inner = [part for part in kept[:-1] if part not in ANYWHERE]
    stripped.update(set(kept[:-1]) & ANYWHERE)
    return (*inner, kept[-1]), stripped
