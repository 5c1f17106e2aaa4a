"""Leaky units change how gradients travel back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._against_plain import AgainstPlain, claim
from ._networks import Body, rectangle, square


class Parameters(AgainstPlain):
    """Gaussian weights of a `gain` on both sides; `leak_rate` 1 is the plain recurrence itself."""

    gain: Annotated[float, Field(gt=0.0, le=8.0)] = 0.9
    leak_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1


def _plain(asked: Parameters, seed: int) -> Body:
    return {
        "cell": "rnn",
        "weights": square("gaussian", asked.size, seed, asked.gain),
        "input_weights": rectangle("gaussian", asked.size, 1, seed),
    }


def _leaky(asked: Parameters, seed: int) -> Body:
    return {**_plain(asked, seed), "cell": "leaky", "leak_rate": asked.leak_rate}


CLAIM = claim(
    "leaky-units",
    "Leaky units, which keep a share of their state at every step, carry gradients farther back.",
    Parameters,
    label="leaky units",
    plain=_plain,
    changed=_leaky,
)
