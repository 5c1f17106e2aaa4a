"""What Keras saves is recognised as what Keras runs: states and gradients of every layer, from its own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.backend.common import dtypes

from roundtrips import BATCH, SIZE, STEPS, WIDTH, Array, Theirs, assert_same, entries, surveyed

# On every backend but TensorFlow, Keras rounds float64 to float32 within its own operations. So that its layers can be
# held to more than seven digits, that one row is taken back.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")

INPUTS = entries(1, STEPS, BATCH, WIDTH)
ZERO = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
"""Other numbers come later: Keras's own would have to be compiled."""
ALL = {"return_sequences": True, **ZERO}

KINDS: Mapping[str, Callable[[], list[keras.Layer]]] = {
    "simple rnn": lambda: [layers.SimpleRNN(SIZE, **ALL)],
    "simple rnn relu without bias": lambda: [layers.SimpleRNN(SIZE, "relu", use_bias=False, **ALL)],
    "lstm": lambda: [layers.LSTM(SIZE, **ALL)],
    "lstm without bias": lambda: [layers.LSTM(SIZE, use_bias=False, unit_forget_bias=False, **ALL)],
    "lstm softsign, softplus gates": lambda: [layers.LSTM(SIZE, "softsign", "softplus", **ALL)],
    "lstm gelu": lambda: [layers.LSTM(SIZE, "gelu", **ALL)],
    "lstm swish": lambda: [layers.LSTM(SIZE, "swish", **ALL)],
    "lstm selu": lambda: [layers.LSTM(SIZE, "selu", **ALL)],
    "lstm backwards": lambda: [layers.LSTM(SIZE, go_backwards=True, **ALL)],
    "gru reset after": lambda: [layers.GRU(SIZE, **ALL)],
    "gru reset before": lambda: [layers.GRU(SIZE, reset_after=False, **ALL)],
    "gru reset after, without bias": lambda: [layers.GRU(SIZE, use_bias=False, **ALL)],
    "gru reset before, without bias": lambda: [layers.GRU(SIZE, use_bias=False, reset_after=False, **ALL)],
    "gru elu": lambda: [layers.GRU(SIZE, "elu", **ALL)],
    "gru leaky relu": lambda: [layers.GRU(SIZE, "leaky_relu", **ALL)],
    "lstm both ways": lambda: [layers.Bidirectional(layers.LSTM(SIZE, **ALL))],
    "gru both ways, of two kinds": lambda: [
        layers.Bidirectional(
            layers.GRU(SIZE, reset_after=False, **ALL),
            backward_layer=layers.GRU(4, go_backwards=True, **ALL),
        )
    ],
    "both ways, the forward layer backwards": lambda: [
        layers.Bidirectional(
            layers.LSTM(SIZE, go_backwards=True, **ALL), backward_layer=layers.LSTM(SIZE, **ALL)
        )
    ],
    "stacked": lambda: [layers.LSTM(SIZE, **ALL), layers.GRU(4, **ALL), layers.SimpleRNN(3, **ALL)],
    "stacked both ways": lambda: [
        layers.Bidirectional(layers.SimpleRNN(SIZE, **ALL)),
        layers.Bidirectional(layers.LSTM(4, **ALL)),
    ],
    "cell": lambda: [layers.RNN(layers.LSTMCell(SIZE, **ZERO), return_sequences=True)],
    "stacked cells": lambda: [
        layers.RNN(
            [layers.LSTMCell(SIZE, **ZERO), layers.GRUCell(4, **ZERO), layers.SimpleRNNCell(3, **ZERO)],
            return_sequences=True,
        )
    ],
    "stacked cells both ways": lambda: [
        layers.SimpleRNN(WIDTH, **ALL),
        layers.Bidirectional(
            layers.RNN([layers.LSTMCell(SIZE, **ZERO), layers.GRUCell(SIZE, **ZERO)], return_sequences=True)
        ),
        layers.SimpleRNN(3, **ALL),
    ],
    "stacked cells, the last state alone": lambda: [
        layers.RNN([layers.GRUCell(SIZE, **ZERO), layers.SimpleRNNCell(3, **ZERO)])
    ],
}
"""What Keras is asked for; every layer has an activation that its configuration says."""

UNSAID: Mapping[str, Sequence[str]] = {
    "simple rnn": ["layers.simple_rnn"],
    "lstm": ["layers.lstm"],
    "lstm without bias": ["layers.lstm"],
    "gru reset after": ["layers.gru"],
    "gru reset before": ["layers.gru"],
    "gru reset after, without bias": ["layers.gru"],
    "lstm both ways": ["layers.bidirectional.forward_layer", "layers.bidirectional.backward_layer"],
    "cell": ["layers.rnn"],
}
"""What is recognised from names and shapes alone, without a configuration, under which names."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, the numbers of its variables, their gradients, and its layers as Keras runs them."""

    model: keras.Model
    weights: Sequence[Array]
    gradients: Sequence[Array]
    theirs: Mapping[str, Theirs]


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def saved(model: keras.Model, values: Sequence[Array], path: Path) -> Path:
    model.set_weights(values)
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


@cache
def trained(name: str) -> Trained:
    stack = KINDS[name]()
    model = keras.Sequential([keras.Input((STEPS, WIDTH)), *stack])
    weights = [entries(30 + k, *weight.shape, scale=0.5) for k, weight in enumerate(model.weights)]
    model.set_weights(weights)
    theirs: dict[str, Theirs] = {}
    gradients: dict[str, Array] = {}
    for where, found, of_variables in run(stack):
        theirs[where] = found
        gradients |= of_variables
    return Trained(model, weights, [gradients[weight.path] for weight in model.weights], theirs)


def run(stack: Sequence[keras.Layer]) -> Iterator[tuple[str, Theirs, dict[str, Array]]]:
    """Every layer or cell by itself, on what comes out of those before it."""
    x = np.swapaxes(INPUTS, 0, 1)
    for layer in stack:
        if isinstance(layer, layers.Bidirectional):
            both = []
            for part in (layer.forward_layer, layer.backward_layer):
                for name, found, gradients in run_one(part, x):
                    yield f"{layer.name}.{name}", found, gradients
                both.append(np.swapaxes(found.states, 0, 1))
            x = np.concatenate([both[0], both[1][:, ::-1]], axis=2)
        else:
            for name, found, gradients in run_one(layer, x):
                yield name, found, gradients
            x = np.swapaxes(found.states, 0, 1)


def run_one(layer: layers.RNN, x: Array) -> Iterator[tuple[str, Theirs, dict[str, Array]]]:
    """A layer, or one after the other the cells that it is made of."""
    if type(layer) is not layers.RNN:
        yield layer.name, *differentiated(layer, x)
        return
    for cell in getattr(layer.cell, "cells", [layer.cell]):
        part = layers.RNN(cell, return_sequences=True, go_backwards=layer.go_backwards)
        found, gradients = differentiated(part, x)
        yield f"{layer.name}.{cell.name}", found, gradients
        x = np.swapaxes(found.states, 0, 1)
        x = x[:, ::-1] if layer.go_backwards else x


def differentiated(layer: layers.RNN, x: Array) -> tuple[Theirs, dict[str, Array]]:
    """A layer's states and the gradients of a loss on the last of them, all by JAX."""
    sizes = np.atleast_1d(layer.cell.state_size)
    start = [entries(10 + k, BATCH, int(size)) for k, size in enumerate(sizes)]
    cotangent = entries(20, BATCH, int(sizes[0]))
    if not layer.built:
        layer.build(x.shape)
    fixed = [weight.value for weight in layer.non_trainable_variables]

    def loss(weights: Any, start: Any) -> Any:
        states, _ = layer.stateless_call(weights, fixed, x, initial_state=start)
        return (states[:, -1] * cotangent).sum(), states

    variables = layer.trainable_variables
    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    (of_weights, of_start), states = gradient([weight.value for weight in variables], start)
    theirs = Theirs(
        np.concatenate(start, axis=1),
        np.swapaxes(np.asarray(states), 0, 1),
        cotangent,
        np.concatenate(of_start, axis=1),
    )
    paths = [weight.path for weight in variables]
    return theirs, dict(zip(paths, map(np.asarray, of_weights), strict=True))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", KINDS)
def test_a_model_has_the_states_and_gradients_that_keras_gives_it(
    name: str, suffix: str, tmp_path: Path
) -> None:
    one = trained(name)
    path = saved(one.model, one.weights, tmp_path / f"model.{suffix}")
    gradients = saved(one.model, one.gradients, tmp_path / f"gradients.{suffix}")
    assert_same(path, INPUTS, one.theirs, gradients)


@pytest.mark.parametrize("name", UNSAID)
def test_weights_alone_have_the_states_and_gradients_that_keras_gives_them(name: str, tmp_path: Path) -> None:
    one = trained(name)
    path = saved(one.model, one.weights, tmp_path / "model.weights.h5")
    gradients = saved(one.model, one.gradients, tmp_path / "gradients.weights.h5")
    assert_same(path, INPUTS, dict(zip(UNSAID[name], one.theirs.values(), strict=True)), gradients)


def test_states_handed_on_backwards_are_not_taken_for_the_inputs_of_the_next_layer(tmp_path: Path) -> None:
    stack = [layers.LSTM(SIZE, go_backwards=True, **ALL), layers.GRU(4, **ALL)]
    model = keras.Sequential([keras.Input((STEPS, WIDTH)), *stack])
    model.save(tmp_path / "model.keras")
    _, found = surveyed(tmp_path / "model.keras")
    assert {layer.name: layer.below for layer in found.layers} == {layer.name: () for layer in stack}
