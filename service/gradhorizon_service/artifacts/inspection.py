"""What is in a file, and its tensors: run in a worker process, because files come from anybody and may be large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradhorizon_service.checkpoints import ReadLimits, Tensor, Unsupported, open_checkpoint

Array = np.ndarray[Any, np.dtype[Any]]

_NAMED = 5
"""Tensors that a warning names."""
_MOST_METADATA = 100
_LONGEST_METADATA = 200


def inspect(path: str, max_bytes: int, max_tensors: int, max_tensor_bytes: int) -> dict[str, Any]:
    """Return `format`, `tensors`, `metadata` and `warnings` of a file; raises CheckpointFault."""
    limits = _limits(max_bytes, max_tensors, max_tensor_bytes)
    with open_checkpoint(Path(path), limits) as checkpoint:
        tensors = [_described(tensor) for tensor in checkpoint.tensors.values()]
        metadata, cut = _summary(checkpoint.metadata)
        return {
            "format": checkpoint.format,
            "tensors": tensors,
            "metadata": metadata,
            "warnings": [*_warnings(tensors), *cut],
        }


def load(
    path: str, names: Sequence[str], max_bytes: int, max_tensors: int, max_tensor_bytes: int
) -> dict[str, Array]:
    """Return tensors by name, in their own number format; raises CheckpointFault, or OSError where the file is gone."""
    limits = _limits(max_bytes, max_tensors, max_tensor_bytes)
    with open_checkpoint(Path(path), limits) as checkpoint:
        return {name: checkpoint.tensors[name].load() for name in names}


def _limits(max_bytes: int, max_tensors: int, max_tensor_bytes: int) -> ReadLimits:
    usual = ReadLimits()
    return replace(
        usual,
        max_file_bytes=max_bytes,
        max_inflated_bytes=min(usual.max_inflated_bytes, max_bytes),
        max_tensors=max_tensors,
        max_tensor_bytes=max_tensor_bytes,
    )


def _described(tensor: Tensor) -> dict[str, Any]:
    sha256: str | None = None
    finite: bool | None = None
    reason: str | None = None
    try:
        sha256, finite = tensor.sha256(), tensor.is_finite()
    except Unsupported as fault:
        reason = fault.message
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.element.name,
        "elements": tensor.count,
        "role": tensor.role,
        "sha256": sha256,
        "finite": finite,
        "unread_reason": reason,
    }


def _warnings(tensors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not tensors:
        yield "the file holds no tensors"
    not_finite = [tensor["name"] for tensor in tensors if tensor["finite"] is False]
    if not_finite:
        yield f"{_named(not_finite)} a NaN or an infinity"
    unread = [tensor["name"] for tensor in tensors if tensor["unread_reason"] is not None]
    if unread:
        yield f"{_named(unread)} a number format that is listed and not read"


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more hold" if len(names) > _NAMED else " hold"
    return shown + (" holds" if len(names) == 1 else more)


def _summary(metadata: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return what a file says of itself as short texts by dotted name, and a warning where there is more of it."""
    summary: dict[str, str] = {}
    for name, value in _leaves(metadata, ""):
        if len(summary) == _MOST_METADATA:
            return summary, [f"the file's metadata are cut after {_MOST_METADATA} entries"]
        summary[name[:_LONGEST_METADATA]] = str(value)[:_LONGEST_METADATA]
    return summary, []


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    items = (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, (list, tuple))
        else None
    )
    if items is None:
        yield name, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{name}.{key}" if name else str(key))
