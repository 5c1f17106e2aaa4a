"""What remedies share: the problem they change, what a run of the changed problem showed, and the row of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ... import runs
from ..._types import Array
from ...block_diagonal import BlockDiagonal
from ...cells import Cell
from ...cells.feedforward import FeedforwardCell
from ...drives import GivenState
from ...errors import CannotRun
from ...horizon import LN10, Horizon, median_change, undefined
from ...matrix_analysis import spectral_radius
from ...problem import NetworkSpec, Problem
from ...runs import Run
from ...sources import MatrixSource, Source

_DRIVE = ("input_weights", "bias", "input_bias", "recurrent_bias")

MOST_STEPS = 20_000
"""Beyond, a search with a network that has to be stepped would take minutes."""

Change = Mapping[str, float | int | str]
"""What a user sets, by name: numbers to put into a network, an optimiser or a loss."""


@dataclass(frozen=True, eq=False)
class Effect:
    """What one run showed: its horizon, and the decades by which the median gradient changed over the whole depth."""

    horizon: Horizon
    log10_growth: float
    diverged: bool

    @property
    def reach(self) -> float:
        """Steps the gradient is carried, infinite where it never leaves the level; a diverged run carries nothing."""
        if self.diverged or np.isnan(self.log10_growth):
            return 0.0
        return np.inf if self.horizon.steps is None else float(self.horizon.steps)


def effect_of_run(run: Run, clipped: bool = False) -> Effect:
    """The horizon and growth of a run, as transported or with its state gradient cut at every step."""
    change = median_change(run.transported_log_norms(np.array([0, run.depth]), clipped))[1] / LN10
    return Effect(runs.horizon_of(run, clipped), float(change), run.outcome.kind == "diverged")


def effect_of(problem: Problem) -> Effect:
    """Run a problem for its horizon alone: vectors through every step, no product of Jacobians.

    A change after which there is nothing to run (its burn-in leaves float64, say) has diverged, and is no fault of
    the network that was asked about.
    """
    try:
        return effect_of_run(runs.start(problem))
    except (CannotRun, ArithmeticError):
        return Effect(undefined(problem.horizon_level), np.nan, diverged=True)


@dataclass(frozen=True, eq=False)
class Trial:
    """One counterfactual that was run: what was changed, and its effect.

    `update_factor` is the norm of the parameters' gradient after over that before, where the parameters are the same.
    `drawn` is the network that ran, where its weights are none of the request's.
    """

    change: Change
    effect: Effect
    update_factor: float | None = None
    drawn: NetworkSpec | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """The problem as it was asked, and its effect."""

    problem: Problem
    before: Effect

    @cached_property
    def cell(self) -> Cell:
        """The built network."""
        return self.problem.network.build()

    @property
    def depth(self) -> int:
        """T."""
        return self.problem.depth

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The network's parameters by their names in the request; matrices are sources."""
        return self.problem.network.parameters

    @property
    def size(self) -> int:
        """N, the entries of h."""
        return self.cell.output_size

    def matrix(self) -> Array | BlockDiagonal:
        """W, as the cell keeps it."""
        matrix = self.cell.matrix
        assert matrix is not None, "the remedy applies only to cells with a recurrent matrix"
        return matrix

    def with_parameters(self, cell: str | None = None, **changed: Any) -> Problem:
        """The same inputs, initial h and loss with some parameters replaced, perhaps in another cell.

        Arrays with two axes stand for the sources of matrices.
        """
        sources = {
            name: MatrixSource(value) if isinstance(value, np.ndarray) and value.ndim == 2 else value
            for name, value in changed.items()
        }
        network = NetworkSpec(cell or self.problem.network.cell, {**self.parameters, **sources})
        return self.with_network(network)

    def with_matrix(self, matrix: Array | BlockDiagonal, **changed: Any) -> Problem:
        """The same with another recurrent matrix; a spectrum in its own basis is a linear recurrence by any name."""
        if isinstance(matrix, BlockDiagonal):
            drive = {name: self.parameters[name] for name in _DRIVE if name in self.parameters}
            return self.with_network(NetworkSpec("linear", {"weights": matrix, **drive, **changed}))
        if self.parameters.get("spectral_radius") is not None:
            changed["spectral_radius"] = spectral_radius(matrix)
        return self.with_parameters(weights=matrix, **changed)

    def with_layers(self, layers: Sequence[Array], **changed: Any) -> Problem:
        """The same with other layers, (N_t, N_{t-1}) each, for a network without shared weights."""
        sources = [MatrixSource(W) for W in layers]
        network = NetworkSpec(self.problem.network.cell, {**self.parameters, "layers": sources, **changed})
        return self.with_network(network)

    @property
    def layers(self) -> Sequence[Array]:
        """The weights of a network that shares none."""
        assert isinstance(self.cell, FeedforwardCell), (
            "the remedy applies to cells with a matrix or with layers"
        )
        return self.cell.layers

    def with_network(self, network: NetworkSpec) -> Problem:
        """The same inputs, initial h and loss for another network."""
        return replace(self.problem, network=network, initial_state=self._initial_state(network))

    def _initial_state(self, network: NetworkSpec) -> Any:
        """The h that the request starts from; what else the other network's state holds starts at zero."""
        initial = self.problem.initial_state
        if initial is None:
            return None
        # An eigenvector is one of the network's own W, whatever is changed.
        state = initial.build(self.problem.batch, self.cell.state_size, self.cell.matrix)
        if network.cell == self.problem.network.cell:
            return GivenState(state)
        missing = network.build().state_size - self.size
        return GivenState(np.pad(state[:, : self.size], ((0, 0), (0, missing))))

    def scaled_drive(self, factor: float) -> dict[str, Any]:
        """U and the biases times a factor, for a linear step that is folded into W."""
        found: dict[str, Any] = {}
        for name in _DRIVE:
            value = self.parameters.get(name)
            if value is not None:
                found[name] = factor * (value.build() if isinstance(value, Source) else value)
        return found


@dataclass(frozen=True)
class Remedy:
    """A row of the table: why it cannot be tried, the search for its best number, and what it costs whoever applies it.

    `search` returns the trial it settled on and how many runs that took. `is_mildest`: it looks for the smallest change
    that is enough, of which there is none where the gradient arrives without one.
    """

    not_applicable: Callable[[Problem], str | None]
    search: Callable[[Subject], tuple[Trial, int]]
    costs: str
    is_mildest: bool = False


def without_weights(problem: Problem) -> str | None:
    """Why nothing can be done to the recurrent matrix, or to layers."""
    kind = problem.network.kind
    if problem.network.parameters.get("decays") is not None:
        return "the decays change with every step: there is no single matrix to change"
    if kind.has_matrix or not kind.is_recurrent:
        return None
    return f"the recurrent weights of {problem.network.cell} are stacked gates, no single matrix"


def shifted(matrix: Array | BlockDiagonal, kept: float, factor: float) -> Array | BlockDiagonal:
    """kept I + factor W."""
    if isinstance(matrix, BlockDiagonal):
        return matrix.with_multipliers(kept + factor * matrix.multipliers)
    return kept * np.eye(len(matrix)) + factor * matrix
