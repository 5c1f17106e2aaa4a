"""One computation, ready to run: what the analysis hands to a worker process. Plain data, picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._types import Array
from .block_diagonal import BlockDiagonal
from .cells import CELLS, Cell
from .clipping import ClippingPolicy
from .drives import InitialState, Inputs
from .errors import CannotRun
from .losses import Loss
from .seeds import derive_seed
from .sources import Source, SpectrumSource


@dataclass(frozen=True, eq=False)
class NetworkSpec:
    """A cell by name and its parameters by their names in the request; matrices are still sources."""

    cell: str
    parameters: Mapping[str, Any]
    layers_drawn: int | None = None

    def build(self) -> Cell:
        """Build the matrices, then the cell. Raises CannotRun with the parameter's path."""
        resolved = {name: self._resolve(name, value) for name, value in self.parameters.items()}
        return CELLS[self.cell](**resolved)

    def _resolve(self, name: str, value: Any) -> Any:
        if name == "layers":
            return self._layers(value)
        if not isinstance(value, Source):
            return value
        if (
            self.cell == "linear"
            and name == "weights"
            and isinstance(value, SpectrumSource)
            and value.is_diagonal
        ):
            # The recurrence is linear in its own eigenbasis: no matrix is ever formed.
            return BlockDiagonal(np.concatenate(_named(value.blocks, "network.weights")))
        return _named(value.build, f"network.{name}")

    def _layers(self, value: Any) -> list[Array]:
        if self.layers_drawn is not None:
            drawn = [_redrawn(value, layer) for layer in range(self.layers_drawn)]
            return [_named(source.build, "network.layers") for source in drawn]
        return [_named(source.build, f"network.layers[{layer}]") for layer, source in enumerate(value)]


def _named(build: Callable[[], Any], path: str) -> Any:
    """Call a builder; its refusals name the field it belongs to."""
    try:
        return build()
    except CannotRun as error:
        raise error.under(path) from None


def _redrawn(source: Any, layer: int) -> Any:
    """The same random source with a seed of its own for this layer."""
    return replace(source, seed=derive_seed(source.seed, f"layer {layer}"))


@dataclass(frozen=True, eq=False)
class Problem:
    """A diagnosis with every default filled in."""

    network: NetworkSpec
    depth: int
    burn_in: int
    inputs: Inputs | None
    initial_state: InitialState | None
    batch: int
    loss: Loss
    every_step: bool
    truncate: int | None
    clipping: ClippingPolicy | None
    dtype: str
    diagnostics: tuple[str, ...]
    leading: int | None
    include: frozenset[str]
    horizon_level: float
    tolerance_decades: float
    max_points: int
    lags: Array | None


@dataclass(frozen=True, eq=False)
class SpectrumProblem:
    """One square matrix to analyse."""

    source: Source
    depth: int
    include_matrix: bool
