"""A checkpoint into layers, in the order of the file, and a reason for every tensor that makes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..checkpoint import Checkpoint
from .families import FAMILIES, Found
from .layer import Layer, Refusal
from .modules import modules_of
from .override import Override, RecognitionFault, applied
from .reassembly import reassembled
from .weight import Budget, Weight

_BY_AXES = {
    0: "one number that belongs to no layer that is recognised",
    1: "a vector that belongs to no layer that is recognised, such as a bias or a normalisation",
    2: "a matrix that belongs to no layer that is recognised, such as a read-out or an embedding",
}
_OF_MORE_AXES = "belongs to no layer that is recognised; its axes are those of a convolution, for instance"


@dataclass(frozen=True, eq=False)
class Recognition:
    """Layers, tensors that are in none with the reason, and what was assumed of the file as a whole."""

    layers: Sequence[Layer]
    skipped: Mapping[str, str]
    assumptions: Sequence[str]


def recognise(
    checkpoint: Checkpoint,
    budget: Budget,
    overrides: Mapping[str, Override] | None = None,
    orthogonal_map: str | None = None,
) -> Recognition:
    """Recognise the layers of a checkpoint. Raises RecognitionFault for an override of no layer, or that cannot be."""
    overrides = overrides or {}
    modules = modules_of(checkpoint, budget)
    skipped = dict(modules.skipped)
    stripped = sorted(modules.stripped)
    modules, refusals, done = reassembled(modules, orthogonal_map)
    weights = {name: Weight.of(tensor, budget) for name, tensor in checkpoint.tensors.items()}
    usable = {name: weight for name, weight in weights.items() if name not in skipped}
    found = Found(modules, checkpoint.layers, usable, overrides)
    layers: list[Layer] = []
    for family in FAMILIES.values():
        claimed: set[str] = set()
        for one in family(found):
            if isinstance(one, Refusal):
                refusals.append(one)
                claimed.update(one.names)
            else:
                layers.append(one)
                claimed.update(name for names in one.weights.values() for name in names)
        found = found.without(claimed)
    for one in refusals:
        skipped.update(dict.fromkeys(one.names, one.reason))
    layers = _in_order(_overridden(_distinct(layers), overrides), checkpoint)
    used = {name for layer in layers for names in layer.weights.values() for name in names}
    reasons = {
        name: skipped.get(name, _BY_AXES.get(len(tensor.shape), _OF_MORE_AXES))
        for name, tensor in checkpoint.tensors.items()
        if name not in used
    }
    return Recognition(layers, reasons, [*_prefixes(stripped), *done.values()])


def _prefixes(stripped: Sequence[str]) -> list[str]:
    if not stripped:
        return []
    return [f"{', '.join(stripped)} left out of the names of layers: wrappers; tensors keep their names"]


def _distinct(layers: Sequence[Layer]) -> list[Layer]:
    """Give the second layer of a name a number."""
    seen: dict[str, int] = {}
    distinct = []
    for layer in layers:
        count = seen[layer.name] = seen.get(layer.name, 0) + 1
        distinct.append(layer if count == 1 else replace(layer, name=f"{layer.name}#{count}"))
    return distinct


def _overridden(layers: Sequence[Layer], overrides: Mapping[str, Override]) -> list[Layer]:
    names = [layer.name for layer in layers]
    for name in overrides:
        if name not in names:
            raise RecognitionFault(("layers", name), f"is none of the layers of this file: {listed(names)}")
    return [applied(layer, overrides[layer.name]) if layer.name in overrides else layer for layer in layers]


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names for a sentence, the first few of many."""
    if not names:
        return "there are none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more


def _in_order(layers: Sequence[Layer], checkpoint: Checkpoint) -> list[Layer]:
    """Sort by where the first tensor of a layer stands in the file, each layer after those below it.

    A file that declares its layers has said their order already.
    """
    if checkpoint.layers:
        return list(layers)
    place = {name: index for index, name in enumerate(checkpoint.tensors)}
    first = {
        layer.name: min(
            (place[name] for names in layer.weights.values() for name in names), default=len(place)
        )
        for layer in layers
    }
    rank: dict[str, int] = {}
    by_name = {layer.name: layer for layer in layers}

    def ranked(name: str) -> int:
        if name not in rank:
            lower = [ranked(below) + 1 for below in by_name[name].below if below in by_name]
            rank[name] = max([first[name], *lower])
        return rank[name]

    return sorted(layers, key=lambda layer: ranked(layer.name))
