"""Echo state networks: a leaky reservoir at a chosen spectral radius, of which only a linear readout is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._types import Array
from ..errors import CannotRun
from ..sources import Rescale
from ._cell import OuterSum
from .leaky import LeakyCell, LeakyLinearisation


class EchoStateCell(LeakyCell):
    """The leaky cell with fixed weights (H. Jaeger, "The echo state approach", GMD report 148, 2001)."""

    def parameters_from(self, gradient: Array) -> Mapping[str, Array]:
        return {}

    def linearise(self, states: Sequence[Array], preactivations: Sequence[Array]) -> EchoStateLinearisation:
        found = super().linearise(states, preactivations)
        return EchoStateLinearisation(self, found.scales, found.steps)


class EchoStateLinearisation(LeakyLinearisation):
    """Gradients pass through the reservoir and change nothing in it."""

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> Mapping[str, OuterSum]:
        return {}


def build_echo_state(
    *, weights: Array, leak_rate: float = 1.0, spectral_radius: float | None = None, **fields: Any
) -> LeakyCell:
    """Build from a request's fields; W is rescaled to `spectral_radius` where one is given.

    Raises CannotRun where no factor does that.
    """
    reservoir = weights if spectral_radius is None else _rescaled(weights, spectral_radius)
    return EchoStateCell.build(weights=reservoir, leak_rate=leak_rate, **fields)


def _rescaled(weights: Array, radius: float) -> Array:
    try:
        return Rescale("spectral_radius", radius).of_matrix(weights)
    except CannotRun as error:
        message = error.message.replace(
            "leave out rescale", "leave out spectral_radius, or use other weights"
        )
        raise CannotRun("network.spectral_radius", message) from None
