"""Where a descent starts: the parameters of one run, by name, from its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from .._types import Array
from ..errors import CannotRun
from ..seeds import derive_seed
from ..sources import Rescale, Source
from ..sources.families import FAMILIES
from .cells import BatchedCell


def _rescaled(weights: Array, radius: float) -> Array:
    try:
        return Rescale("spectral_radius", radius).of_matrix(weights)
    except CannotRun as error:
        raise CannotRun("cell.spectral_radius", error.message) from None


class Start(Protocol):
    """Parameters of the run with a place in the list of seeds."""

    def draw(self, place: int, seed: int) -> dict[str, Array]:
        """One run's parameters by their names in a request."""
        ...


@dataclass(frozen=True, eq=False)
class Given:
    """The same numbers for every run."""

    parameters: Mapping[str, Array]

    def draw(self, place: int, seed: int) -> dict[str, Array]:
        return dict(self.parameters)


@dataclass(frozen=True, eq=False)
class FromSources:
    """A recurrent matrix for each run, from a source of its own."""

    weights: Sequence[Source]

    def draw(self, place: int, seed: int) -> dict[str, Array]:
        try:
            return {"weights": self.weights[place].build()}
        except CannotRun as error:
            raise error.under("task.weights") from None


@dataclass(frozen=True)
class Initialised:
    """A cell and a linear readout as PyTorch initialises them, but for the recurrent weights and what else is said.

    Everything is uniform up to 1/sqrt(H). The recurrent weights are `gain` times a matrix of `family`, every gate a
    matrix of its own; `forget_bias` is what the two biases of an LSTM's forget gate add up to; `spectral_radius` is
    what the recurrent matrix of an echo state network is rescaled to.
    """

    cell: BatchedCell
    hidden_size: int
    inputs: int
    outputs: int
    family: str = "torch_default"
    gain: float = 1.0
    forget_bias: float | None = None
    spectral_radius: float | None = None

    def draw(self, place: int, seed: int) -> dict[str, Array]:
        generator = np.random.default_rng(derive_seed(seed, "parameters"))
        H, K = self.hidden_size, self.outputs
        bound = 1.0 / np.sqrt(H)
        shapes = {
            **self.cell.shapes(H, self.inputs),
            "readout_weight": (K, H),
            "readout_bias": (K,),
        }
        drawn = {
            name: generator.uniform(-bound, bound, prod(shape)).reshape(shape)
            for name, shape in shapes.items()
        }
        for name in ("weights", "skip_weights"):
            if name in drawn:
                drawn[name] = self._recurrent(len(drawn[name]) // H, generator)
        if self.spectral_radius is not None:
            drawn["weights"] = _rescaled(drawn["weights"], self.spectral_radius)
        if self.forget_bias is not None:
            drawn["input_bias"][H : 2 * H] = self.forget_bias
            drawn["recurrent_bias"][H : 2 * H] = 0.0
        return drawn

    def _recurrent(self, blocks: int, generator: np.random.Generator) -> Array:
        H = self.hidden_size
        return self.gain * np.concatenate([FAMILIES[self.family](H, H, generator) for _ in range(blocks)])
