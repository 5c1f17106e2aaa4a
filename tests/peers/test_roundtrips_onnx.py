"""What stands in an ONNX graph is recognised as what onnxruntime runs: states, and gradients of the same steps.

onnxruntime differentiates nothing. The operators are written down once more below, in PyTorch and in the words of their
specification; that they have onnxruntime's states is checked first, and their gradients are autograd's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from roundtrips import BATCH, SIZE, STEPS, WIDTH, Array, Theirs, assert_same, entries, surveyed

WITHIN = 1e-6
"""onnxruntime has these operators in float32 alone."""


def numbers(seed: int, *shape: int, scale: float = 1.0) -> Array:
    return entries(seed, *shape, scale=scale).astype(np.float32)


INPUTS = numbers(1, STEPS, BATCH, WIDTH)
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
USUAL = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
Activation = Callable[[torch.Tensor], torch.Tensor]
ACTIVATIONS: Mapping[str, Callable[[float], Activation]] = {
    "Tanh": lambda _: torch.tanh,
    "Sigmoid": lambda _: torch.sigmoid,
    "Relu": lambda _: torch.relu,
    "Softsign": lambda _: functional.softsign,
    "Softplus": lambda _: functional.softplus,
    "Elu": lambda alpha: lambda x: functional.elu(x, alpha),
    "LeakyRelu": lambda alpha: lambda x: functional.leaky_relu(x, alpha),
}
TAKES_ALPHA = {"Elu": 1.0, "LeakyRelu": 0.01}
"""Activation -> its alpha where none is given."""


@dataclass(frozen=True)
class Node:
    """A recurrent operator, its attributes, and which of its inputs it has."""

    operator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    biased: bool = True
    peepholes: bool = False

    @property
    def directions(self) -> tuple[str, ...]:
        """As the layers are called, and which way they go."""
        said = self.attributes.get("direction", "forward")
        return ("forward", "reverse") if said == "bidirectional" else (said,)

    def activations(self) -> list[list[Activation]]:
        """Those of each direction, each with its alpha: alphas are taken by those that have one, in order."""
        words = self.attributes.get("activations") or USUAL[self.operator] * len(self.directions)
        alphas = iter(self.attributes.get("activation_alpha", ()))
        found = [
            ACTIVATIONS[word](next(alphas, TAKES_ALPHA[word]) if word in TAKES_ALPHA else 0.0)
            for word in words
        ]
        count = len(USUAL[self.operator])
        return [found[start : start + count] for start in range(0, len(found), count)]


NODES: Mapping[str, Node] = {
    "rnn": Node("RNN"),
    "rnn relu": Node("RNN", {"activations": ["Relu"]}),
    "rnn both ways, of two activations": Node(
        "RNN", {"direction": "bidirectional", "activations": ["Softsign", "Tanh"]}
    ),
    "rnn both ways, leaky": Node(
        "RNN",
        {
            "direction": "bidirectional",
            "activations": ["LeakyRelu", "Elu"],
            "activation_alpha": [0.3, 0.7],
        },
    ),
    "lstm": Node("LSTM"),
    "lstm without bias": Node("LSTM", biased=False),
    "lstm with peepholes": Node("LSTM", peepholes=True),
    "lstm both ways with peepholes": Node("LSTM", {"direction": "bidirectional"}, peepholes=True),
    "lstm softsign": Node("LSTM", {"activations": ["Sigmoid", "Softsign", "Softsign"]}),
    "lstm elu both ways": Node(
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": ["Sigmoid", "Elu", "Elu"] * 2,
            "activation_alpha": [0.5, 0.5, 0.9, 0.9],
        },
    ),
    "gru, reset before": Node("GRU"),
    "gru, reset after": Node("GRU", {"linear_before_reset": 1}),
    "gru, reset after, without bias": Node("GRU", {"linear_before_reset": 1}, biased=False),
    "gru backwards": Node("GRU", {"direction": "reverse"}),
    "gru both ways, reset after": Node("GRU", {"direction": "bidirectional", "linear_before_reset": 1}),
    "gru relu": Node("GRU", {"activations": ["Sigmoid", "Relu"]}),
}


def weights_of(node: Node) -> dict[str, Array]:
    count, rows = len(node.directions), GATES[node.operator] * SIZE
    found = {
        "W": numbers(2, count, rows, WIDTH, scale=0.5),
        "R": numbers(3, count, rows, SIZE, scale=0.4),
        "B": numbers(4, count, 2 * rows, scale=0.5),
        "P": numbers(5, count, 3 * SIZE, scale=0.5),
    }
    absent = {name for name, there in (("B", node.biased), ("P", node.peepholes)) if not there}
    return {name: array for name, array in found.items() if name not in absent}


def start_of(node: Node) -> list[Array]:
    parts = 2 if node.operator == "LSTM" else 1
    return [numbers(10 + k, len(node.directions), BATCH, SIZE) for k in range(parts)]


def model_of(node: Node, weights: Mapping[str, Array]) -> onnx.ModelProto:
    """A graph of one node."""
    bias, peepholes = (name if name in weights else "" for name in "BP")
    states = ["h0", "c0"][: len(start_of(node))]
    inputs = ["x", "W", "R", bias, "", *states, *([peepholes] if node.operator == "LSTM" else [])]
    made = helper.make_node(node.operator, inputs, ["y"], name="cell", hidden_size=SIZE, **node.attributes)
    whole = [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUTS.shape)] + [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip(states, start_of(node), strict=True)
    ]
    shape = (STEPS, len(node.directions), BATCH, SIZE)
    graph = helper.make_graph(
        [made],
        "graph",
        whole,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def run_by_onnxruntime(model: onnx.ModelProto, fed: Mapping[str, Array]) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(fed))[0])


# The operators as their specification has them: https://onnx.ai/onnx/operators


def rnn(x: Any, h: Any, w: Any, f: list[Activation], node: Node) -> Any:
    return (f[0](x @ w["W"].T + w["Wb"] + h[0] @ w["R"].T + w["Rb"]),)


def lstm(x: Any, state: Any, w: Any, f: list[Activation], node: Node) -> Any:
    h, c = state
    a = x @ w["W"].T + w["Wb"] + h @ w["R"].T + w["Rb"]
    a_i, a_o, a_f, a_c = a.chunk(4, dim=1)
    p_i, p_o, p_f = w["P"].chunk(3)
    i, forget = f[0](a_i + p_i * c), f[0](a_f + p_f * c)
    c = forget * c + i * f[1](a_c)
    return f[0](a_o + p_o * c) * f[2](c), c


def gru(x: Any, state: Any, w: Any, f: list[Activation], node: Node) -> Any:
    (h,) = state
    x_z, x_r, x_h = (x @ w["W"].T + w["Wb"]).chunk(3, dim=1)
    R_z, R_r, R_h = w["R"].chunk(3)
    b_z, b_r, b_h = w["Rb"].chunk(3)
    z, r = f[0](x_z + h @ R_z.T + b_z), f[0](x_r + h @ R_r.T + b_r)
    inside = r * (h @ R_h.T + b_h) if node.attributes.get("linear_before_reset") else (r * h) @ R_h.T + b_h
    return ((1 - z) * f[1](x_h + inside) + z * h,)


STEP = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def by_specification(node: Node, weights: Mapping[str, Array]) -> tuple[list[Theirs], dict[str, Array]]:
    """Every direction's states and gradients in float64, and the gradients of the weights as the node stacks them."""
    leaves = {
        name: torch.tensor(array, dtype=torch.float64, requires_grad=True) for name, array in weights.items()
    }
    starts, losses = [], []
    for k, (direction, f) in enumerate(zip(node.directions, node.activations(), strict=True)):
        rows = GATES[node.operator] * SIZE
        own = {name: leaf[k] for name, leaf in leaves.items()}
        bias = own.get("B", torch.zeros(2 * rows, dtype=torch.float64))
        own |= {"Wb": bias[:rows], "Rb": bias[rows:]}
        own.setdefault("P", torch.zeros(3 * SIZE, dtype=torch.float64))
        state = start = tuple(
            torch.tensor(part[k], dtype=torch.float64, requires_grad=True) for part in start_of(node)
        )
        states = []
        for x in torch.from_numpy(INPUTS[::-1].copy() if direction == "reverse" else INPUTS).double():
            state = STEP[node.operator](x, state, own, f, node)
            states.append(state[0])
        cotangent = torch.from_numpy(entries(20 + k, BATCH, SIZE))
        losses.append((states[-1] * cotangent).sum())
        starts.append((start, torch.stack(states).detach().numpy(), cotangent.numpy()))
    torch.stack(losses).sum().backward()  # directions share nothing
    theirs = []
    for start, states, cotangent in starts:
        first, gradient = (
            torch.cat(parts, dim=1).detach().numpy() for parts in (start, [part.grad for part in start])
        )
        theirs.append(Theirs(first, states, cotangent, gradient))
    return theirs, {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_the_states_of_onnxruntime_and_their_gradients(name: str, tmp_path: Path) -> None:
    node = NODES[name]
    weights = weights_of(node)
    model = model_of(node, weights)
    theirs, gradients = by_specification(node, weights)
    fed = dict(zip(["h0", "c0"], start_of(node), strict=False))
    run = run_by_onnxruntime(model, {"x": INPUTS, **fed})
    for k, (direction, found) in enumerate(zip(node.directions, theirs, strict=True)):
        states = run[::-1, k] if direction == "reverse" else run[:, k]
        assert np.abs(states - found.states).max() <= WITHIN * np.abs(found.states).max()
    onnx.save(model, tmp_path / "model.onnx")
    onnx.save(model_of(node, gradients), tmp_path / "gradients.onnx")
    names = ["cell", "cell_reverse"][: len(theirs)]
    assert_same(
        tmp_path / "model.onnx",
        INPUTS,
        dict(zip(names, theirs, strict=True)),
        tmp_path / "gradients.onnx",
        within=WITHIN,
    )


REFUSED = {
    "input_forget": (Node("LSTM", {"input_forget": 1}), "couples its input gate"),
    "clip": (Node("GRU", {"clip": 0.5}), "clips its gates"),
    "two activations": (Node("LSTM", {"activations": ["Sigmoid", "Tanh", "Softsign"]}), "different activations"),
    "two alphas": (
        Node("LSTM", {"activations": ["Sigmoid", "Elu", "Elu"], "activation_alpha": [0.5, 0.9]}),
        "different activations",
    ),
    "another gate": (Node("GRU", {"activations": ["HardSigmoid", "Tanh"]}), "hardsigmoid"),
    "alpha of a gate": (
        Node("GRU", {"activations": ["Elu", "Tanh"], "activation_alpha": [0.5]}),
        "gates with a parameter",
    ),
}  # fmt: skip
"""Attribute -> a node with it, and what is said of it."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_cell_here_computes_is_refused(name: str, tmp_path: Path) -> None:
    node, says = REFUSED[name]
    onnx.save(model_of(node, weights_of(node)), tmp_path / "model.onnx")
    found = surveyed(tmp_path / "model.onnx")[1]
    assert not found.layers
    assert all(says in reason for reason in found.skipped.values()), found.skipped


EXPORTED: Mapping[str, tuple[Callable[[], torch.nn.RNNBase], bool]] = {
    "rnn relu": (lambda: torch.nn.RNN(WIDTH, SIZE, nonlinearity="relu"), False),
    "lstm both ways": (lambda: torch.nn.LSTM(WIDTH, SIZE, bidirectional=True), True),
    "lstm both ways, by the older exporter": (lambda: torch.nn.LSTM(WIDTH, SIZE, bidirectional=True), False),
    "gru": (lambda: torch.nn.GRU(WIDTH, SIZE), True),
    "gru, by the older exporter": (lambda: torch.nn.GRU(WIDTH, SIZE, 2), False),
}
"""Layer -> how PyTorch makes it, and whether today's exporter keeps it whole (an RNN it takes apart)."""


@pytest.mark.parametrize("name", EXPORTED)
def test_what_pytorch_exports_is_the_layer_that_pytorch_saves(name: str, tmp_path: Path) -> None:
    make, is_kept_whole = EXPORTED[name]
    torch.manual_seed(0)
    layer = make().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        torch.onnx.export(
            layer,
            (torch.from_numpy(INPUTS),),
            tmp_path / "model.onnx",
            dynamo=is_kept_whole,
            external_data=False,
            verbose=False,
        )
    torch.save(layer.state_dict(), tmp_path / "model.pt")
    said = {"activation": "relu"} if "relu" in name else {}
    exported, kept = (surveyed(tmp_path / f"model.{suffix}", **said)[1].layers for suffix in ("onnx", "pt"))
    for what in (lambda one: one.direction, lambda one: len(one.below)):
        assert list(map(what, exported)) == list(map(what, kept))
    for ours, theirs in zip(exported, kept, strict=True):
        assert ours.network is not None
        assert theirs.network is not None
        for part, value in theirs.network.items():
            np.testing.assert_array_equal(ours.network[part], value)
