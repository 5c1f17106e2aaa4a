"""Skip connections over time change how gradients travel back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ._against_plain import AgainstPlain, claim
from ._networks import Body, rectangle, square


class Parameters(AgainstPlain):
    """Gaussian weights of a `gain`; the skip over `delay` steps has a Gaussian matrix of `skip_gain` of its own."""

    size: Annotated[int, Field(ge=1, le=64)] = 16
    depth: Annotated[int, Field(ge=10, le=1000)] = 150
    batch: Annotated[int, Field(ge=1, le=64)] = 2
    gain: Annotated[float, Field(gt=0.0, le=8.0)] = 0.9
    skip_gain: Annotated[float, Field(gt=0.0, le=8.0)] = 0.9
    delay: Annotated[int, Field(ge=2, le=32)] = 6
    combine: Literal["inside", "outside"] = "inside"


def _plain(asked: Parameters, seed: int) -> Body:
    return {
        "cell": "rnn",
        "weights": square("gaussian", asked.size, seed, asked.gain),
        "input_weights": rectangle("gaussian", asked.size, 1, seed),
    }


def _skip(asked: Parameters, seed: int) -> Body:
    return {
        **_plain(asked, seed),
        "cell": "skip",
        "delay": asked.delay,
        "combine": asked.combine,
        "skip_weights": square("gaussian", asked.size, seed + 2**32, asked.skip_gain),
    }


CLAIM = claim(
    "skip-connections",
    "Connections that skip over several steps carry gradients farther back.",
    Parameters,
    label="a skip connection",
    plain=_plain,
    changed=_skip,
)
