"""The LSTM changes how gradients travel back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._against_plain import AgainstPlain, claim
from ._networks import Body, rectangle, square


class Parameters(AgainstPlain):
    """Both as PyTorch initialises them, at the same hidden size; `forget_bias` is added to the forget gate's.

    0 is PyTorch's own initialisation; 1 is what Gers et al. (2000) and Jozefowicz et al. (2015) advise.
    """

    forget_bias: Annotated[float, Field(ge=-20.0, le=20.0)] = 1.0


def _plain(asked: Parameters, seed: int) -> Body:
    return {
        "cell": "rnn",
        "weights": square("torch_default", asked.size, seed),
        "input_weights": _as_pytorch(asked.size, 1, seed, asked.size),
    }


def _lstm(asked: Parameters, seed: int) -> Body:
    size = asked.size
    return {
        "cell": "lstm",
        "weights": _as_pytorch(4 * size, size, seed, size),
        "input_weights": _as_pytorch(4 * size, 1, seed, size),
        "bias": [0.0] * size + [asked.forget_bias] * size + [0.0] * (2 * size),
    }


def _as_pytorch(rows: int, columns: int, seed: int, hidden_size: int) -> Body:
    return {**rectangle("torch_default", rows, columns, seed), "hidden_size": hidden_size}


CLAIM = claim(
    "lstm",
    "The gated cell of an LSTM lets gradients through while its forget gates are open, and carries them farther back.",
    Parameters,
    label="an LSTM",
    plain=_plain,
    changed=_lstm,
)
