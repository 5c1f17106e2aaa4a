"""Every cell of the table with every loss, gradient by gradient, against PyTorch's autograd in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cases import CELLS, LOSSES, CellCase, LossCase, pairs, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.losses import CotangentLoss, CrossEntropyLoss, Loss, SquaredErrorLoss
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.statistics import root_sum_of_squares

TOLERANCE = 1e-9

ACTIVATIONS: Mapping[str, Callable[..., Tensor]] = {
    "identity": lambda a: a,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "hard_tanh": functional.hardtanh,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "elu": functional.elu,
    "selu": functional.selu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "erf": torch.erf,
    "sin": torch.sin,
}
OPTIONS = ("negative_slope", "alpha", "beta")


def leaf(values: object) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64).requires_grad_()


def leaf_of(values: np.ndarray) -> Tensor:
    """A parameter; complex numbers as (re, im)."""
    return leaf(np.stack([values.real, values.imag], axis=-1) if values.dtype.kind == "c" else values)


@dataclass
class Model:
    """Parameters by name, and one step of a cell."""

    case: CellCase
    parameters: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._add_parameters()
        for parameter in self.parameters.values():
            parameter.requires_grad_(self.case.is_trained)

    def _add_parameters(self) -> None:
        for name, value in self.case.parameters.items():
            if isinstance(value, list):
                self.parameters |= {f"{name}[{layer}]": leaf(matrix) for layer, matrix in enumerate(value)}
            elif isinstance(value, BlockDiagonal):
                self.parameters["weights"] = leaf(
                    np.stack([value.multipliers.real, value.multipliers.imag], axis=1)
                )
            elif isinstance(value, dict):
                self.parameters |= {
                    key: leaf_of(item) for key, item in value.items() if not isinstance(item, str)
                }
            elif isinstance(value, np.ndarray) and value.dtype.kind == "c":
                self.parameters[name] = leaf_of(value)
            elif isinstance(value, np.ndarray) and name != "values":
                weights = self.case.parameters.get("weights")
                rows = len(weights) if isinstance(weights, np.ndarray) else self.case.size
                self.parameters[name] = leaf(np.broadcast_to(value, (rows,)) if value.ndim == 0 else value)

    def step(self, t: int, state: Tensor, x: Tensor | None) -> Tensor:
        return STEPS[self.case.cell](self, t, state, x)

    def affine(self, state: Tensor, x: Tensor | None) -> Tensor:
        """W h + U x + b."""
        return self.driven(self.recurrent(state), x)

    def driven(self, a: Tensor, x: Tensor | None) -> Tensor:
        """a + U x + b."""
        if x is not None:
            a = a + x @ self.parameters["input_weights"].T
        for name in ("bias", "input_bias", "recurrent_bias"):
            if name in self.parameters:
                a = a + self.parameters[name]
        return a

    def recurrent(self, state: Tensor) -> Tensor:
        weights = self.case.parameters["weights"]
        if isinstance(weights, BlockDiagonal):
            return state @ self.block_matrix(weights).T
        return state @ self.parameters["weights"].T

    def block_matrix(self, blocks: BlockDiagonal) -> Tensor:
        pieces = [
            torch.stack([torch.stack([a, -b]), torch.stack([b, a])]) if is_pair else a.reshape(1, 1)
            for (a, b), is_pair in zip(self.parameters["weights"], blocks.is_pair, strict=True)
        ]
        return torch.block_diag(*pieces)

    def activation(self, a: Tensor) -> Tensor:
        default = "identity" if self.case.cell in ("linear", "feedforward") else "tanh"
        options = {name: self.case.parameters[name] for name in OPTIONS if name in self.case.parameters}
        return ACTIVATIONS[self.case.parameters.get("activation", default)](a, **options)

    def gate(self, a: Tensor) -> Tensor:
        return ACTIVATIONS[self.case.parameters.get("gate_activation", "sigmoid")](a)


def recurrent_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    return model.activation(model.affine(state, x))


def leaky_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    a = model.case.parameters.get("leak_rate", 1.0)
    return (1.0 - a) * state + a * recurrent_step(model, t, state, x)


def residual_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    return state + model.case.parameters["scale"] * recurrent_step(model, t, state, x)


def skip_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    """The last d values of h side by side, the newest first."""
    h, oldest = state[:, : model.case.outputs], state[:, -model.case.outputs :]
    delayed = oldest @ model.parameters["skip_weights"].T
    if model.case.parameters["combine"] == "inside":
        following = model.activation(model.affine(h, x) + delayed)
    else:
        following = model.activation(model.affine(h, x)) + delayed
    return torch.cat([following, state[:, : -model.case.outputs]], dim=1)


def echo_state_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    W = model.parameters["weights"]
    radius = torch.linalg.eigvals(W).abs().max()
    wanted = model.case.parameters.get("spectral_radius", radius)
    scaled = copy(model)
    scaled.parameters = {**model.parameters, "weights": W * wanted / radius}
    return leaky_step(scaled, t, state, x)


def zoh(z: Tensor) -> Tensor:
    return torch.exp(z)


def bilinear(z: Tensor) -> Tensor:
    return (1.0 + z / 2.0) / (1.0 - z / 2.0)


def eigenvalues(model: Model) -> tuple[Tensor, np.ndarray]:
    """(m,) complex, and which of them have a complex state."""
    p, given = model.parameters, model.case.parameters
    if "eigenvalues" in given:
        return torch.view_as_complex(p["eigenvalues"]), given["eigenvalues"].imag != 0.0
    if "s4d" in given:
        discretise = {"zoh": zoh, "bilinear": bilinear}[given["s4d"]["discretization"]]
        return discretise(torch.view_as_complex(p["A"]) * p["step"]), given["s4d"]["A"].imag != 0.0
    nu = p["nu"] if "nu" in p else torch.exp(p["nu_log"])
    theta = p["theta"] if "theta" in p else torch.exp(p["theta_log"])
    return torch.exp(-nu + 1j * theta), np.ones(len(nu), dtype=bool)


def diagonal_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    if "decays" in model.parameters:
        decays = model.parameters["decays"]
        return model.driven((decays[:, t] if decays.ndim == 3 else decays[t]) * state, x)
    multipliers, has_pair = eigenvalues(model)
    columns: list[Tensor] = []
    for multiplier, is_pair in zip(multipliers, has_pair, strict=True):
        at = len(columns)
        z = multiplier * (torch.complex(state[:, at], state[:, at + 1]) if is_pair else state[:, at])
        columns += [z.real, z.imag] if is_pair else [z.real]
    return model.driven(torch.stack(columns, dim=1), x)


def layer_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    W = model.parameters[f"layers[{t}]"]
    a = state @ W.T
    if f"biases[{t}]" in model.parameters:
        a = a + model.parameters[f"biases[{t}]"]
    skips = model.case.parameters["residual"] and W.shape[0] == W.shape[1]
    return model.activation(a) + state if skips else model.activation(a)


def jacobian_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    return state @ torch.tensor(model.case.parameters["values"][t]).T


def lstm_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    """nn.LSTM with ONNX's peepholes; h and c side by side, so that both are coordinates of one leaf."""
    parameters, P = model.parameters, model.case.outputs
    h, c = state[:, :P], state[:, P:]
    i, f, g, o = model.affine(h, x).chunk(4, dim=1)
    peepholes = parameters.get("peepholes")
    if peepholes is not None:
        i, f = i + peepholes[0] * c, f + peepholes[1] * c
    c = model.gate(f) * c + model.gate(i) * model.activation(g)
    if peepholes is not None:
        o = o + peepholes[2] * c
    m = model.gate(o) * model.activation(c)
    h = m @ parameters["projection"].T if "projection" in parameters else m
    return torch.cat([h, c], dim=1)


def gru_step(model: Model, t: int, state: Tensor, x: Tensor | None) -> Tensor:
    given, parameters = model.case.parameters, model.parameters
    pushed = torch.zeros(len(state), 3 * model.case.size, dtype=torch.float64)
    if x is not None:
        pushed = pushed + x @ parameters["input_weights"].T
    pushed = pushed + sum(parameters[name] for name in ("bias", "input_bias") if name in parameters)
    x_r, x_z, x_n = pushed.chunk(3, dim=1)
    W_r, W_z, W_n = parameters["weights"].chunk(3)
    b_r, b_z, b_n = parameters.get("recurrent_bias", torch.zeros(3 * model.case.size)).chunk(3)
    r, z = model.gate(x_r + state @ W_r.T + b_r), model.gate(x_z + state @ W_z.T + b_z)
    if given.get("reset", "after") == "after":
        n = model.activation(x_n + r * (state @ W_n.T + b_n))
    else:
        n = model.activation(x_n + (r * state) @ W_n.T + b_n)
    return (1 - z) * n + z * state if given.get("update", "keep") == "keep" else (1 - z) * state + z * n


STEPS: Mapping[str, Callable[[Model, int, Tensor, Tensor | None], Tensor]] = {
    "linear": recurrent_step,
    "rnn": recurrent_step,
    "leaky": leaky_step,
    "residual": residual_step,
    "skip": skip_step,
    "echo_state": echo_state_step,
    "diagonal": diagonal_step,
    "lstm": lstm_step,
    "gru": gru_step,
    "feedforward": layer_step,
    "jacobians": jacobian_step,
}


def loss_of(loss: Loss, parameters: dict[str, Tensor], h: Tensor, step: int) -> Tensor:
    if isinstance(loss, CotangentLoss):
        return (torch.tensor(loss.values) * h).sum()
    assert isinstance(loss, CrossEntropyLoss | SquaredErrorLoss)
    outputs = h
    if "readout_weight" in parameters:
        outputs = functional.linear(h, parameters["readout_weight"], parameters.get("readout_bias"))
    targets = (
        loss.targets[:, step - 1]
        if loss.targets.ndim == 2 + isinstance(loss, SquaredErrorLoss)
        else loss.targets
    )
    if isinstance(loss, CrossEntropyLoss):
        return functional.cross_entropy(outputs, torch.tensor(targets))
    expected = torch.tensor(targets).expand(outputs.shape)
    if loss.reduction == "mean":
        return functional.mse_loss(outputs, expected)
    return 0.5 * functional.mse_loss(outputs, expected, reduction="sum")


def autograd(case: CellCase, problem: Problem) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Norms of dL/ds_{T-k}, (T + 1, B), and the gradient of every parameter."""
    model, loss = Model(case), problem.loss
    for name in ("readout_weight", "readout_bias"):
        if getattr(loss, name, None) is not None:
            model.parameters[name] = leaf(getattr(loss, name))
    inputs = None if problem.inputs is None else torch.tensor(problem.inputs.build(problem.depth))
    start = np.zeros((problem.batch, case.size))
    if problem.initial_state is not None:
        start = problem.initial_state.build(problem.batch, case.size, None)
    states = [leaf(start)]
    for t in range(problem.depth):
        states.append(model.step(t, states[-1], None if inputs is None else inputs[t]))
        states[-1].retain_grad()
    steps = range(1, problem.depth + 1) if problem.every_step else [problem.depth]
    torch.stack(
        [loss_of(loss, model.parameters, states[t][:, : case.outputs], t) for t in steps]
    ).sum().backward()
    norms = [np.linalg.norm(state.grad.numpy(), axis=1) for state in reversed(states)]  # type: ignore[union-attr]
    gradients = {name: p.grad.numpy() for name, p in model.parameters.items() if p.grad is not None}
    return np.array(norms), gradients


@pytest.mark.parametrize(("case", "loss"), pairs().values(), ids=pairs())
def test_gradients_are_those_of_autograd(case: CellCase, loss: LossCase) -> None:
    """By lag and sequence, over the batch, and of every parameter with its name in the request."""
    problem = problem_of(case, loss)
    norms, gradients = autograd(case, problem)
    run = runs.start(problem)
    found = run.gradient_log_norms(np.arange(problem.depth + 1))
    assert np.exp(found) == pytest.approx(norms, rel=TOLERANCE)
    assert np.exp(root_sum_of_squares(found)) == pytest.approx(np.linalg.norm(norms, axis=1), rel=TOLERANCE)
    parameters = run.parameter_gradients()
    assert set(parameters) == set(gradients)
    for name, expected in gradients.items():
        values = parameters[name].values()
        assert values is not None
        assert np.linalg.norm(values - expected) <= TOLERANCE * np.linalg.norm(expected), name


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "softsign", "silu"])
def test_long_runs_agree_with_autograd(activation: str) -> None:
    """A hundred steps of 24 units near the edge of stability, a cross-entropy at the end."""
    rng = np.random.default_rng(0)
    parameters = {
        "weights": rng.standard_normal((24, 24)) / np.sqrt(24.0),
        "input_weights": 0.3 * rng.standard_normal((24, 2)),
        "activation": activation,
    }
    case = CellCase("rnn", parameters, depth=100, width=2, size=24, outputs=24)
    problem = problem_of(case, LOSSES["cross_entropy"])
    norms, gradients = autograd(case, problem)
    run = runs.start(problem)
    assert np.exp(run.gradient_log_norms(np.arange(101))) == pytest.approx(norms, rel=TOLERANCE)
    weights = run.parameter_gradients()["weights"].values()
    assert weights is not None
    difference = np.linalg.norm(weights - gradients["weights"])
    assert difference <= TOLERANCE * np.linalg.norm(gradients["weights"])


@pytest.mark.parametrize("name", ["skip tanh", "skip tanh outside", "skip relu", "skip identity outside"])
@pytest.mark.parametrize("loss", ["cotangent", "cross_entropy at every step"])
def test_the_part_h_of_a_skip_is_the_total_derivative_over_all_paths(name: str, loss: str) -> None:
    """Against a graph of h_1, h_2, .. alone, without copies of them in a state."""
    case = CELLS[name]
    problem = problem_of(case, LOSSES[loss])
    model = Model(case)
    if loss != "cotangent":
        model.parameters["readout_weight"] = leaf(problem.loss.readout_weight)  # type: ignore[attr-defined]
    inputs = problem.inputs.build(problem.depth)  # type: ignore[union-attr]
    start = problem.initial_state.build(problem.batch, case.size, None)  # type: ignore[union-attr]
    N, delay = case.outputs, case.parameters["delay"]
    h = {-k: leaf(start[:, k * N : (k + 1) * N]) for k in range(delay)}
    for t in range(1, problem.depth + 1):
        state = torch.cat([h[t - k] for k in range(1, delay + 1)], dim=1)
        h[t] = model.step(t - 1, state, torch.tensor(inputs[t - 1]))[:, :N]
        h[t].retain_grad()
    steps = range(1, problem.depth + 1) if problem.every_step else [problem.depth]
    torch.stack([loss_of(problem.loss, model.parameters, h[t], t) for t in steps]).sum().backward()
    expected = [np.linalg.norm(h[problem.depth - k].grad.numpy(), axis=1) for k in range(problem.depth + 1)]  # type: ignore[union-attr]
    run = runs.start(problem)
    found = np.exp(run.gradient_log_norms(np.arange(problem.depth + 1), run.parts["h"]))  # type: ignore[index]
    assert found == pytest.approx(np.array(expected), rel=TOLERANCE)


@pytest.mark.parametrize("window", [0, 2, 5])
def test_a_sliding_window_is_autograd_with_detached_states(window: int) -> None:
    """Each loss term is differentiated in a graph of its own that starts `window` + 1 steps before it."""
    case, loss = CELLS["rnn tanh"], LOSSES["cross_entropy at every step"]
    problem = problem_of(case, loss, truncate=window)
    inputs = torch.tensor(problem.inputs.build(problem.depth))  # type: ignore[union-attr]
    start = problem.initial_state.build(problem.batch, case.size, None)  # type: ignore[union-attr]
    model = Model(case)
    model.parameters["readout_weight"] = leaf(problem.loss.readout_weight)  # type: ignore[attr-defined]
    states = [torch.tensor(start)]
    with torch.no_grad():
        for t in range(problem.depth):
            states.append(model.step(t, states[-1], inputs[t]))
    for taken in range(1, problem.depth + 1):
        first = max(0, taken - window - 1)
        state = states[first]
        for t in range(first, taken):
            state = model.step(t, state, inputs[t])
        loss_of(problem.loss, model.parameters, state, taken).backward()
    for name, gradient in runs.start(problem).parameter_gradients().items():
        values, expected = gradient.values(), model.parameters[name].grad
        assert values is not None
        assert expected is not None
        assert values == pytest.approx(expected.numpy(), rel=TOLERANCE, abs=1e-12)
