"""Each framework's convention: a step written as that framework writes it, against the network that is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.checkpoints import DeclaredLayer
from recognised import recognised, states, written

I, H, STEPS, BATCH = 3, 4, 6, 2
Array = np.ndarray[Any, np.dtype[np.float64]]
State = tuple[Array, Array]
"""h and c; c stays zero where there is none."""
Step = Callable[[Mapping[str, Array], State, Array], State]


def sigmoid(a: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-a))


@dataclass(frozen=True)
class Convention:
    """Tensors by name and shape, the step as the framework documents it, and what the file itself says."""

    shapes: dict[str, tuple[int, ...]]
    step: Step
    name: str
    framework: str
    declared: tuple[DeclaredLayer, ...] = ()
    reverse: Step | None = None
    assumes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def lstm_state(i: Array, f: Array, g: Array, o: Array, c: Array) -> State:
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


# Keras: kernels (in, out)


def keras_rnn(w: Mapping[str, Array], s: State, x: Array) -> State:
    return np.tanh(x @ w["r/kernel"] + s[0] @ w["r/recurrent_kernel"] + w["r/bias"]), s[1]


def keras_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    i, f, c, o = np.split(x @ w["r/kernel"] + s[0] @ w["r/recurrent_kernel"] + w["r/bias"], 4, axis=-1)
    return lstm_state(i, f, c, o, s[1])


def keras_gru_after(w: Mapping[str, Array], s: State, x: Array) -> State:
    h = s[0]
    xz, xr, xh = np.split(x @ w["r/kernel"] + w["r/bias"][0], 3, axis=-1)
    hz, hr, hh = np.split(h @ w["r/recurrent_kernel"] + w["r/bias"][1], 3, axis=-1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xh + r * hh), s[1]


def keras_gru_before(w: Mapping[str, Array], s: State, x: Array) -> State:
    h = s[0]
    xz, xr, xh = np.split(x @ w["r/kernel"] + w["r/bias"], 3, axis=-1)
    Uz, Ur, Uh = np.split(w["r/recurrent_kernel"], 3, axis=-1)
    z, r = sigmoid(xz + h @ Uz), sigmoid(xr + h @ Ur)
    return z * h + (1 - z) * np.tanh(xh + (r * h) @ Uh), s[1]


def keras_relu(w: Mapping[str, Array], s: State, x: Array) -> State:
    return np.maximum(x @ w["r/kernel"] + s[0] @ w["r/recurrent_kernel"] + w["r/bias"], 0.0), s[1]


def keras_declared(kind: str, **options: Any) -> tuple[DeclaredLayer, ...]:
    names = {role: f"r/{role}" for role in ("kernel", "recurrent_kernel", "bias")}
    return (DeclaredLayer("r", kind, options, names),)


def keras_numbered(step: Step) -> Step:
    names = {"r/kernel": "vars/0", "r/recurrent_kernel": "vars/1", "r/bias": "vars/2"}
    return lambda w, s, x: step(
        {ours: w[f"layers/gru/cell/{theirs}"] for ours, theirs in names.items()}, s, x
    )


# Flax: a module a gate


def flax_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    def gate(name: str) -> Array:
        return (
            x @ w[f"params/cell/i{name}/kernel"]
            + s[0] @ w[f"params/cell/h{name}/kernel"]
            + w[f"params/cell/h{name}/bias"]
        )

    return lstm_state(gate("i"), gate("f"), gate("g"), gate("o"), s[1])


def nnx_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    inner = {"f": "if_"}

    def gate(name: str) -> Array:
        return (
            x @ w[f"cell/{inner.get(name, 'i' + name)}/kernel/value"]
            + s[0] @ w[f"cell/h{name}/kernel/value"]
            + w[f"cell/h{name}/bias/value"]
        )

    return lstm_state(gate("i"), gate("f"), gate("g"), gate("o"), s[1])


def nnx_fused_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    whole = x @ w["dense_i/kernel"] + s[0] @ w["dense_h/kernel"] + w["dense_h/bias"]
    return lstm_state(*np.split(whole, 4, axis=-1), s[1])


def flax_gru(w: Mapping[str, Array], s: State, x: Array) -> State:
    h, p = s[0], {name.removeprefix("params/GRUCell_0/"): array for name, array in w.items()}
    r = sigmoid(x @ p["ir/kernel"] + p["ir/bias"] + h @ p["hr/kernel"])
    z = sigmoid(x @ p["iz/kernel"] + p["iz/bias"] + h @ p["hz/kernel"])
    n = np.tanh(x @ p["in/kernel"] + p["in/bias"] + r * (h @ p["hn/kernel"] + p["hn/bias"]))
    return (1 - z) * n + z * h, s[1]


def nnx_gru(w: Mapping[str, Array], s: State, x: Array) -> State:
    xr, xz, xn = np.split(x @ w["dense_i/kernel"] + w["dense_i/bias"], 3, axis=-1)
    hr, hz, hn = np.split(s[0] @ w["dense_h/kernel"], 3, axis=-1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + r * hn) + z * s[0], s[1]


def flax_minimal(w: Mapping[str, Array], s: State, x: Array) -> State:
    h = s[0]
    f = sigmoid(x @ w["m/if/kernel"] + w["m/if/bias"] + h @ w["m/hf/kernel"])
    n = np.tanh(x @ w["m/in/kernel"] + w["m/in/bias"] + f * (h @ w["m/hn/kernel"] + w["m/hn/bias"]))
    return (1 - f) * n + f * h, s[1]


def flax_simple(w: Mapping[str, Array], s: State, x: Array) -> State:
    return np.tanh(x @ w["s/i/kernel"] + w["s/i/bias"] + s[0] @ w["s/h/kernel"]), s[1]


# Haiku, TensorFlow 1, Equinox


def haiku_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    i, g, f, o = np.split(
        np.concatenate([x, s[0]], axis=-1) @ w["lstm/linear/w"] + w["lstm/linear/b"], 4, axis=-1
    )
    return lstm_state(i, f + 1.0, g, o, s[1])


def haiku_gru(w: Mapping[str, Array], s: State, x: Array) -> State:
    h = s[0]
    Wz, Wr, Wa = np.split(w["gru/w_h"], 3, axis=-1)
    xz, xr, xa = np.split(x @ w["gru/w_i"] + w["gru/b"], 3, axis=-1)
    z, r = sigmoid(xz + h @ Wz), sigmoid(xr + h @ Wr)
    return (1 - z) * h + z * np.tanh(xa + (r * h) @ Wa), s[1]


def haiku_vanilla(w: Mapping[str, Array], s: State, x: Array) -> State:
    p = {name.removeprefix("vanilla_rnn/"): array for name, array in w.items()}
    a = x @ p["input_to_hidden/w"] + p["input_to_hidden/b"] + s[0] @ p["hidden_to_hidden/w"]
    return np.maximum(a, 0.0), s[1]


def tensorflow_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    whole = (
        np.concatenate([x, s[0]], axis=-1) @ w["rnn/basic_lstm_cell/kernel"] + w["rnn/basic_lstm_cell/bias"]
    )
    i, j, f, o = np.split(whole, 4, axis=-1)
    return lstm_state(i, f + 1.0, j, o, s[1])


def equinox_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    whole = x @ w["weight_ih"].T + s[0] @ w["weight_hh"].T + w["bias"]
    return lstm_state(*np.split(whole, 4, axis=-1), s[1])


def equinox_gru(w: Mapping[str, Array], s: State, x: Array) -> State:
    ir, iz, in_ = np.split(x @ w["weight_ih"].T + w["bias"], 3, axis=-1)
    hr, hz, hn = np.split(s[0] @ w["weight_hh"].T, 3, axis=-1)
    n = np.tanh(in_ + sigmoid(ir + hr) * (hn + w["bias_n"]))
    return n + sigmoid(iz + hz) * (s[0] - n), s[1]


# ONNX: a leading axis of directions


def onnx_of(direction: int, gates: int) -> Callable[[Mapping[str, Array], State, Array], list[Array]]:
    def preactivations(w: Mapping[str, Array], s: State, x: Array) -> list[Array]:
        Wb, Rb = np.split(w["B"][direction], 2)
        return np.split(x @ w["W"][direction].T + Wb + s[0] @ w["R"][direction].T + Rb, gates, axis=-1)

    return preactivations


def onnx_lstm(w: Mapping[str, Array], s: State, x: Array) -> State:
    i, o, f, c = onnx_of(0, 4)(w, s, x)
    Pi, Po, Pf = np.split(w["P"][0], 3)
    new = sigmoid(f + Pf * s[1]) * s[1] + sigmoid(i + Pi * s[1]) * np.tanh(c)
    return sigmoid(o + Po * new) * np.tanh(new), new


def onnx_gru(after: bool, direction: int = 0) -> Step:
    def step(w: Mapping[str, Array], s: State, x: Array) -> State:
        h = s[0]
        (Wz, Wr, Wh), (Rz, Rr, Rh) = (np.split(w[name][direction], 3) for name in ("W", "R"))
        Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(w["B"][direction], 6)
        z = sigmoid(x @ Wz.T + h @ Rz.T + Wbz + Rbz)
        r = sigmoid(x @ Wr.T + h @ Rr.T + Wbr + Rbr)
        inner = r * (h @ Rh.T + Rbh) if after else (r * h) @ Rh.T + Rbh
        return (1 - z) * np.tanh(x @ Wh.T + inner + Wbh) + z * h, s[1]

    return step


def onnx_rnn(w: Mapping[str, Array], s: State, x: Array) -> State:
    (a,) = onnx_of(0, 1)(w, s, x)
    return np.where(a > 0, a, 0.3 * a), s[1]


def onnx_declared(kind: str, roles: str = "WRB", **options: Any) -> tuple[DeclaredLayer, ...]:
    return (DeclaredLayer("node", kind, options, {role: role for role in roles}),)


def keras_shapes(gates: int, *bias: int) -> dict[str, tuple[int, ...]]:
    return {"r/kernel": (I, gates * H), "r/recurrent_kernel": (H, gates * H), "r/bias": bias or (gates * H,)}


def onnx_shapes(gates: int, directions: int = 1) -> dict[str, tuple[int, ...]]:
    rows = gates * H
    return {"W": (directions, rows, I), "R": (directions, rows, H), "B": (directions, 2 * rows)}


CONVENTIONS = {
    "keras SimpleRNN": Convention(keras_shapes(1), keras_rnn, "r", "keras", assumes=("activation",)),
    "keras LSTM": Convention(
        keras_shapes(4), keras_lstm, "r", "keras", assumes=("activation", "gate_activation")
    ),
    "keras GRU, two rows of bias": Convention(
        keras_shapes(3, 2, 3 * H),
        keras_gru_after,
        "r",
        "keras",
        assumes=("activation", "gate_activation", "reset"),
    ),
    "keras GRU, one bias": Convention(
        keras_shapes(3), keras_gru_before, "r", "keras", assumes=("activation", "gate_activation", "reset")
    ),
    "keras GRU by numbers": Convention(
        {
            "layers/gru/cell/vars/0": (I, 3 * H),
            "layers/gru/cell/vars/1": (H, 3 * H),
            "layers/gru/cell/vars/2": (2, 3 * H),
        },
        keras_numbered(keras_gru_after),
        "layers.gru",
        "keras",
        assumes=("activation", "gate_activation", "reset"),
    ),
    "keras SimpleRNN, declared": Convention(
        keras_shapes(1), keras_relu, "r", "keras", keras_declared("SimpleRNN", activation="relu")
    ),
    "keras LSTM, declared": Convention(
        keras_shapes(4),
        keras_lstm,
        "r",
        "keras",
        keras_declared("LSTM", activation="tanh", recurrent_activation="sigmoid"),
    ),
    "keras GRU, declared": Convention(
        keras_shapes(3, 2, 3 * H),
        keras_gru_after,
        "r",
        "keras",
        keras_declared("GRU", activation="tanh", recurrent_activation="sigmoid", reset_after=True),
        assumes=("reset",),
    ),
    "flax LSTMCell": Convention(
        {f"params/cell/i{g}/kernel": (I, H) for g in "ifgo"}
        | {f"params/cell/h{g}/kernel": (H, H) for g in "ifgo"}
        | {f"params/cell/h{g}/bias": (H,) for g in "ifgo"},
        flax_lstm,
        "cell",
        "flax",
    ),
    "flax NNX LSTMCell": Convention(
        {f"cell/{'if_' if g == 'f' else 'i' + g}/kernel/value": (I, H) for g in "ifgo"}
        | {f"cell/h{g}/kernel/value": (H, H) for g in "ifgo"}
        | {f"cell/h{g}/bias/value": (H,) for g in "ifgo"},
        nnx_lstm,
        "cell",
        "flax",
    ),
    "flax NNX OptimizedLSTMCell": Convention(
        {"dense_i/kernel": (I, 4 * H), "dense_h/kernel": (H, 4 * H), "dense_h/bias": (4 * H,)},
        nnx_fused_lstm,
        "cell",
        "flax",
    ),
    "flax GRUCell": Convention(
        {f"params/GRUCell_0/i{g}/kernel": (I, H) for g in "rzn"}
        | {f"params/GRUCell_0/i{g}/bias": (H,) for g in "rzn"}
        | {f"params/GRUCell_0/h{g}/kernel": (H, H) for g in "rzn"}
        | {"params/GRUCell_0/hn/bias": (H,)},
        flax_gru,
        "GRUCell_0",
        "flax",
    ),
    "flax NNX GRUCell": Convention(
        {"dense_i/kernel": (I, 3 * H), "dense_i/bias": (3 * H,), "dense_h/kernel": (H, 3 * H)},
        nnx_gru,
        "cell",
        "flax",
    ),
    "flax MGUCell": Convention(
        {"m/if/kernel": (I, H), "m/in/kernel": (I, H), "m/hf/kernel": (H, H), "m/hn/kernel": (H, H)}
        | {"m/if/bias": (H,), "m/in/bias": (H,), "m/hn/bias": (H,)},
        flax_minimal,
        "m",
        "flax",
        assumes=("variant",),
    ),
    "flax SimpleCell": Convention(
        {"s/i/kernel": (I, H), "s/i/bias": (H,), "s/h/kernel": (H, H)},
        flax_simple,
        "s",
        "flax",
        assumes=("activation", "residual"),
    ),
    "haiku LSTM": Convention(
        {"lstm/linear/w": (I + H, 4 * H), "lstm/linear/b": (4 * H,)},
        haiku_lstm,
        "lstm",
        "haiku",
        assumes=("forget_bias",),
    ),
    "haiku GRU": Convention(
        {"gru/w_i": (I, 3 * H), "gru/w_h": (H, 3 * H), "gru/b": (3 * H,)},
        haiku_gru,
        "gru",
        "haiku",
        assumes=("variant",),
    ),
    "haiku VanillaRNN": Convention(
        {
            "vanilla_rnn/input_to_hidden/w": (I, H),
            "vanilla_rnn/input_to_hidden/b": (H,),
            "vanilla_rnn/hidden_to_hidden/w": (H, H),
        },
        haiku_vanilla,
        "vanilla_rnn",
        "haiku",
        assumes=("activation",),
    ),
    "tensorflow 1 BasicLSTMCell": Convention(
        {"rnn/basic_lstm_cell/kernel": (I + H, 4 * H), "rnn/basic_lstm_cell/bias": (4 * H,)},
        tensorflow_lstm,
        "rnn.basic_lstm_cell",
        "tensorflow1",
        assumes=("forget_bias",),
    ),
    "equinox LSTMCell": Convention(
        {"weight_ih": (4 * H, I), "weight_hh": (4 * H, H), "bias": (4 * H,)}, equinox_lstm, "cell", "equinox"
    ),
    "equinox GRUCell": Convention(
        {"weight_ih": (3 * H, I), "weight_hh": (3 * H, H), "bias": (3 * H,), "bias_n": (H,)},
        equinox_gru,
        "cell",
        "equinox",
    ),
    "onnx LSTM with peepholes": Convention(
        onnx_shapes(4) | {"P": (1, 3 * H)}, onnx_lstm, "node", "onnx", onnx_declared("LSTM", "WRBP")
    ),
    "onnx GRU, linear_before_reset 0": Convention(
        onnx_shapes(3), onnx_gru(after=False), "node", "onnx", onnx_declared("GRU"), assumes=("reset",)
    ),
    "onnx GRU, linear_before_reset 1, both directions": Convention(
        onnx_shapes(3, 2),
        onnx_gru(after=True),
        "node",
        "onnx",
        onnx_declared("GRU", direction="bidirectional", linear_before_reset=1),
        reverse=onnx_gru(after=True, direction=1),
        assumes=("reset",),
    ),
    "onnx RNN with a leaky activation": Convention(
        onnx_shapes(1),
        onnx_rnn,
        "node",
        "onnx",
        onnx_declared("RNN", activations=["LeakyRelu"], activation_alpha=[0.3]),
    ),
}


def run(step: Step, weights: Mapping[str, Array], inputs: Array) -> Array:
    state = (np.zeros((BATCH, H)), np.zeros((BATCH, H)))
    hidden = []
    for x in inputs:
        state = step(weights, state, x)
        hidden.append(state[0])
    return np.array(hidden)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_the_recognised_network_steps_as_the_framework_does(convention: Convention, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    weights = {name: random.standard_normal(shape) for name, shape in convention.shapes.items()}
    inputs = random.standard_normal((STEPS, BATCH, I))
    found, networks = recognised(written(tmp_path, weights), declared=convention.declared)
    assert found.skipped == {}
    layer = found.layers[0]
    assert (layer.name, layer.framework) == (convention.name, convention.framework)
    assert set(layer.assumptions) == set(convention.assumes)
    got = states(networks[convention.name], inputs)[1:, :, :H]
    assert np.abs(got - run(convention.step, weights, inputs)).max() < 1e-12
    if convention.reverse is not None:
        assert found.layers[1].direction == "backward"
        got = states(networks[f"{convention.name}_reverse"], inputs[::-1])[1:, :, :H]
        assert np.abs(got - run(convention.reverse, weights, inputs[::-1])).max() < 1e-12


def test_every_family_has_a_convention_or_a_test_of_its_own() -> None:
    from gradhorizon_service.checkpoints.recognition import FAMILIES

    elsewhere = {"named", "torch", "state_space", "linear_stacks"}
    assert set(FAMILIES) == elsewhere | {convention.framework for convention in CONVENTIONS.values()}
