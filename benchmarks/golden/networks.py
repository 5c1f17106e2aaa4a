"""The networks of the golden table, as requests describe them: layers fresh from their framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

INPUTS = 8
SIZES = (64, 256)
CHRONO_STEPS = 100
_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
_BIASES, _TIMES = 1, 2
"""What NumPy draws comes from generators seeded with one of these and the request's seed."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A row: `network(H, seed)` is what goes into a request, whose own seed draws the matrices."""

    name: str
    network: Callable[[int, int], Json]
    sizes: tuple[int, ...] = SIZES


def torch_layer(cell: str, H: int, seed: int) -> Json:
    """A recurrent layer of PyTorch: every parameter, both biases too, uniform up to 1/sqrt(H)."""
    rng, rows = _generator(_BIASES, seed), _GATES[cell] * H
    return {
        **_drawn(cell, "torch_default", H),
        "input_bias": rng.uniform(-1.0, 1.0, rows) / np.sqrt(H),
        "recurrent_bias": rng.uniform(-1.0, 1.0, rows) / np.sqrt(H),
    }


def keras_layer(cell: str, H: int, seed: int) -> Json:
    """A recurrent layer of Keras: orthogonal, Glorot uniform, no bias but for an LSTM's forget gate, which has 1.

    A GRU's gates come as r, z, n here and as z, r, h in Keras, which random weights cannot tell apart.
    """
    drawn = _drawn(cell, "keras_default", H)
    return {**drawn, "bias": np.repeat([0.0, 1.0, 0.0, 0.0], H)} if cell == "lstm" else drawn


def with_forget_bias(value: float, H: int, seed: int) -> Json:
    """PyTorch's LSTM, its forget gate's two biases set to `value` and 0."""
    network = torch_layer("lstm", H, seed)
    network["input_bias"][H : 2 * H] = value
    network["recurrent_bias"][H : 2 * H] = 0.0
    return network


def chrono(steps: int, H: int, seed: int) -> Json:
    """PyTorch's LSTM with forget biases ln u, u uniform in [1, steps - 1], and input biases -ln u.

    Tallec and Ollivier (2018), equation 16.
    """
    network = torch_layer("lstm", H, seed)
    biases = np.log(_generator(_TIMES, seed).uniform(1.0, steps - 1.0, H))
    network["input_bias"][: 2 * H] = np.concatenate([-biases, biases])
    network["recurrent_bias"][: 2 * H] = 0.0
    return network


def _drawn(cell: str, family: str, H: int) -> Json:
    rows = _GATES[cell] * H
    source = {"source": "ensemble", "family": family, "hidden_size": H}
    return {
        "cell": cell,
        "weights": {**source, "shape": [rows, H]},
        "input_weights": {**source, "shape": [rows, INPUTS]},
    }


def _generator(role: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([role, seed])


DEFAULTS = (
    Layer("PyTorch RNN, tanh", partial(torch_layer, "rnn")),
    Layer("PyTorch LSTM", partial(torch_layer, "lstm")),
    Layer("PyTorch GRU", partial(torch_layer, "gru")),
    Layer("Keras SimpleRNN", partial(keras_layer, "rnn")),
    Layer("Keras LSTM", partial(keras_layer, "lstm")),
    Layer("Keras GRU", partial(keras_layer, "gru")),
)
FORGET_BIASES = (1, 2, 3)
LAYERS = (
    *DEFAULTS,
    *(Layer(f"PyTorch LSTM, forget bias {b}", partial(with_forget_bias, b)) for b in FORGET_BIASES),
    Layer(f"PyTorch LSTM, chrono up to {CHRONO_STEPS}", partial(chrono, CHRONO_STEPS), sizes=(64,)),
)
FIRST_SEED = {layer.name: 1000 * place for place, layer in enumerate(LAYERS)}
"""Every row has seeds of its own: rows with the same ones share random numbers, and their luck."""
SWEPT_BIASES = tuple(float(b) for b in np.arange(-1.0, 4.01, 0.5))
SWEEP_FIRST_SEED = 1000 * len(LAYERS)


def as_json(network: Mapping[str, Any]) -> str:
    """A network as the JSON part of a multipart request, its arrays as references to the other parts."""
    parts = {
        key: {"tensor": key} if isinstance(value, np.ndarray) else value for key, value in network.items()
    }
    fields = [f'  "{key}": {json.dumps(value)}' for key, value in parts.items()]
    return "{\n" + ",\n".join(fields) + "\n}"
