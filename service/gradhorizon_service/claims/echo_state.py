"""Echo state networks change how gradients travel back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._against_plain import AgainstPlain, claim
from ._networks import Body, rectangle, square


class Parameters(AgainstPlain):
    """The plain recurrence as PyTorch initialises it; the reservoir's weights set to a spectral radius, inputs scaled.

    Both are fixed numbers chosen beforehand, as in an echo state network, where only the readout learns.
    """

    spectral_radius: Annotated[float, Field(gt=0.0, le=4.0)] = 0.95
    leak_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    input_scale: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1


def _plain(asked: Parameters, seed: int) -> Body:
    return {
        "cell": "rnn",
        "weights": square("torch_default", asked.size, seed),
        "input_weights": {**rectangle("torch_default", asked.size, 1, seed), "hidden_size": asked.size},
    }


def _reservoir(asked: Parameters, seed: int) -> Body:
    return {
        "cell": "echo_state",
        "weights": square("gaussian", asked.size, seed),
        "spectral_radius": asked.spectral_radius,
        "leak_rate": asked.leak_rate,
        "input_weights": rectangle("gaussian", asked.size, 1, seed, asked.input_scale),
    }


CLAIM = claim(
    "echo-state",
    "In an echo state network the recurrent weights are chosen, not learnt, so that the past stays in the state; "
    "gradients travel farther back through it.",
    Parameters,
    label="an echo state network",
    plain=_plain,
    changed=_reservoir,
)
