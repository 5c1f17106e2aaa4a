"""One computation, ready to run: what the analysis hands to a worker process. Plain data, picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._types import Array
from .block_diagonal import BlockDiagonal
from .cells import CELLS, Cell, CellKind
from .clipping import ClippingPolicy
from .drives import InitialState, Inputs
from .entry_range import in_range
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
        return self.kind.build(**resolved)

    @property
    def kind(self) -> CellKind:
        """The cell's row in the table."""
        return CELLS[self.cell]

    @property
    def has_matrix(self) -> bool:
        """Whether one square matrix is applied at every step; decays given step by step are none."""
        return self.kind.has_matrix and self.parameters.get("decays") is None

    @property
    def is_linear(self) -> bool:
        """Whether a step is linear in the state: by its kind, or because its only activation is the identity."""
        kind = self.kind
        if kind.is_linear or not kind.has_matrix:
            return kind.is_linear
        return self.parameters.get("activation") == "identity"

    def _resolve(self, name: str, value: Any) -> Any:
        path = f"network.{name}"
        if name == "layers":
            return self._layers(value)
        if self.cell == "jacobians":
            return in_range(value, path)
        if not isinstance(value, Source):
            return value
        if (
            self.cell == "linear"
            and name == "weights"
            and isinstance(value, SpectrumSource)
            and value.is_diagonal
        ):
            # The recurrence is linear in its own eigenbasis: no matrix is ever formed.
            return BlockDiagonal(_built(lambda: np.concatenate(value.blocks()), path))
        return _built(value.build, path)

    def _layers(self, value: Any) -> list[Array]:
        if self.layers_drawn is not None:
            return [_built(_redrawn(value, k).build, "network.layers") for k in range(self.layers_drawn)]
        return [_built(source.build, f"network.layers[{k}]") for k, source in enumerate(value)]


def _built(build: Callable[[], Array], path: str) -> Array:
    """Call a builder; its refusals name the field it belongs to."""
    try:
        return in_range(build(), path)
    except CannotRun as error:
        raise (error if error.field == path else error.under(path)) from None


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
    seed: int


@dataclass(frozen=True, eq=False)
class ComparisonProblem:
    """Diagnoses to run one after the other, by the name of their row; with each, where its network stands."""

    rows: Mapping[str, tuple[str, Problem]]


@dataclass(frozen=True, eq=False)
class SpectrumProblem:
    """One square matrix to analyse."""

    source: Source
    depth: int
    include_matrix: bool
