"""Files of named tensors, the layers recognised in them, and the states their networks run through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradhorizon_service.checkpoints import DeclaredLayer, open_checkpoint
from gradhorizon_service.checkpoints.recognition import (
    Budget,
    Layer,
    Override,
    Recognition,
    network_of,
    recognise,
)
from gradhorizon_service.worker.cells import CELLS
from gradhorizon_service.worker.trajectory import run_forward

Array = np.ndarray[Any, np.dtype[np.float64]]


def recognised(
    path: Path,
    orthogonal_map: str | None = None,
    declared: tuple[DeclaredLayer, ...] | None = None,
    overrides: Mapping[str, Override] | None = None,
) -> tuple[Recognition, dict[str, Any]]:
    """What is recognised in a file, and the network of every layer by its name; `declared` as if the file said so."""
    with open_checkpoint(path) as opened:
        checkpoint = opened if declared is None else replace(opened, layers=declared)
        found = recognise(checkpoint, Budget(1 << 30), overrides, orthogonal_map)
        return found, {layer.name: network_of(layer) for layer in found.layers}


def written(folder: Path, tensors: Mapping[str, Array]) -> Path:
    """Tensors in a file that says nothing but their names."""
    path = folder / "tensors.npz"
    np.savez(path, **tensors)
    return path


def states(network: Mapping[str, Any], inputs: Array, initial: Array | None = None) -> Array:
    """(T + 1, B, S): the states of a network on inputs (T, B, D)."""
    fields = dict(network)
    cell = CELLS[fields.pop("cell")].build(**fields)
    start = np.zeros((inputs.shape[1], cell.state_size)) if initial is None else initial
    return np.asarray(run_forward(cell, start, inputs, len(inputs)).states)


def layer(found: Recognition, name: str) -> Layer:
    return next(layer for layer in found.layers if layer.name == name)
