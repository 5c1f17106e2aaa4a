"""Everything a diagnosis needs of a checkpoint, read once: layers as networks, findings, what was skipped and assumed.

Run in a worker process: files come from anybody and may be large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import Checkpoint
from .errors import CheckpointFault, TooLarge, Unsupported
from .hygiene import RULES, Finding, Subject
from .limits import ReadLimits
from .opening import open_checkpoint
from .recognition import Budget, Layer, Override, Recognition, RecognitionFault, listed, network_of, recognise

LARGEST_WEIGHT = 1e150
"""Beyond, squares leave float64; no framework trains in a format that reaches so far."""


@dataclass(frozen=True)
class SurveyRequest:
    """What a request says about the file; `only` names the layers that are wanted, `fed` those below them too."""

    overrides: Mapping[str, Override]
    only: Sequence[str] | None = None
    fed: bool = False
    orthogonal_map: str | None = None
    activation: str | None = None


@dataclass(frozen=True, eq=False)
class SurveyedLayer:
    """A layer and its network; None where its numbers cannot be used, with the reason."""

    name: str
    framework: str
    cell: str
    direction: str
    below: tuple[str, ...]
    tensors: Mapping[str, tuple[str, ...]]
    assumptions: tuple[str, ...]
    input_width: int | None
    network: Mapping[str, Any] | None
    reason: str | None


@dataclass(frozen=True, eq=False)
class Survey:
    """A checkpoint as a diagnosis sees it; `tensors` are the shapes by name."""

    format: str
    tensors: Mapping[str, tuple[int, ...]]
    layers: tuple[SurveyedLayer, ...]
    findings: tuple[Finding, ...]
    skipped: Mapping[str, str]
    assumptions: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers that were read."""
        return sum(map(_bytes, (layer.network for layer in self.layers)))


def survey(
    path: str, request: SurveyRequest, max_bytes: int, max_tensors: int, max_tensor_bytes: int
) -> Survey:
    """Survey a file; raises CheckpointFault where it cannot be read, RecognitionFault where the request is amiss."""
    usual = ReadLimits()
    limits = replace(
        usual,
        max_file_bytes=max_bytes,
        max_inflated_bytes=min(usual.max_inflated_bytes, max_bytes),
        max_tensors=max_tensors,
        max_tensor_bytes=max_tensor_bytes,
    )
    with open_checkpoint(Path(path), limits) as checkpoint:
        budget = Budget(max_tensor_bytes)
        found = recognise(checkpoint, budget, request.overrides, request.orthogonal_map)
        layers = tuple(_surveyed(found, request))
        findings = (*_tensor_findings(checkpoint), *_layer_findings(layers))
        shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
        return Survey(
            checkpoint.format, shapes, layers, findings, dict(found.skipped), tuple(found.assumptions)
        )


def _surveyed(found: Recognition, request: SurveyRequest) -> Iterator[SurveyedLayer]:
    names = [layer.name for layer in found.layers]
    unknown = [name for name in request.only or () if name not in names]
    if unknown:
        raise RecognitionFault(
            ("only",), f"names {unknown[0][:80]!r}, which is none of the layers of this file: {listed(names)}"
        )
    wanted = set(names if request.only is None else request.only)
    if request.fed:
        wanted = _with_those_below(wanted, found.layers)
    for layer in found.layers:
        if layer.name not in wanted:
            continue
        yield _read(_activated(layer, request.activation))


def _read(layer: Layer) -> SurveyedLayer:
    network, reason = _network(layer)
    return SurveyedLayer(
        layer.name,
        layer.framework,
        layer.cell,
        layer.direction,
        layer.below,
        layer.weights,
        tuple(layer.assumptions.values()),
        layer.input_width,
        network,
        reason,
    )


def _with_those_below(only: Iterable[str], layers: Sequence[Layer]) -> set[str]:
    """Return the layers asked for and all that feed them."""
    by_name = {layer.name: layer for layer in layers}
    wanted: set[str] = set()
    waiting = list(only)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            waiting.extend(by_name[name].below)
    return wanted


def _activated(layer: Layer, activation: str | None) -> Layer:
    """Take the activation of the request wherever one had to be assumed."""
    if activation is None or "activation" not in layer.assumptions:
        return layer
    left = {about: says for about, says in layer.assumptions.items() if about != "activation"}
    return replace(layer, parameters={**layer.parameters, "activation": activation}, assumptions=left)


def _network(layer: Layer) -> tuple[dict[str, Any] | None, str | None]:
    try:
        network = network_of(layer)
    except TooLarge:
        raise
    except CheckpointFault as fault:
        return None, f"its file {fault.message}"
    bad = [name for name in network if not all(map(_is_usable, _arrays(network[name])))]
    if bad:
        tensors = ", ".join(name for field in bad for name in layer.weights.get(field, ()))
        what = f"a NaN, an infinity or a number beyond {LARGEST_WEIGHT:g} is in it"
        return None, f"{tensors or ', '.join(bad)} cannot be computed with: {what}"
    return network, None


def _is_usable(array: np.ndarray[Any, Any]) -> bool:
    return bool((np.abs(array) <= LARGEST_WEIGHT).all())


def _arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _arrays(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _arrays(inner)


def _bytes(network: Mapping[str, Any] | None) -> int:
    return sum(array.nbytes for array in _arrays(network))


def _tensor_findings(checkpoint: Checkpoint) -> Iterator[Finding]:
    for tensor in checkpoint.tensors.values():
        if tensor.role != "parameter" or not tensor.is_floating:
            continue
        try:
            count = tensor.count_nonfinite()
        except Unsupported:
            continue
        if count:
            yield Finding(
                "non_finite",
                "error",
                f"{count} of its {tensor.count} numbers are NaN or infinite",
                tensor=tensor.name,
                value=float(count),
                threshold=0.0,
            )


def _layer_findings(layers: Sequence[SurveyedLayer]) -> Iterator[Finding]:
    for layer in layers:
        if layer.network is None:
            continue
        subject = Subject(layer.name, layer.cell, layer.network, layer.tensors)
        for rule in RULES.values():
            yield from rule(subject)
