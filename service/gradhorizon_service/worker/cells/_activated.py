"""An activation from a request's name and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from ..activations import ACTIVATIONS, Activation


def make_activation(name: str, parameters: Mapping[str, float | None]) -> Activation:
    """Build an activation; parameters left unset (None) take PyTorch's defaults."""
    return ACTIVATIONS[name](**{key: value for key, value in parameters.items() if value is not None})
