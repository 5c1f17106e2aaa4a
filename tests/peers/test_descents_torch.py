"""Descents take PyTorch's steps: its layers, optimizers and clipping, and autograd's second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from descent_networks import CASES, CLASSES, SIZE, WIDTH, data
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.descents import DescentProblem, descend
from gradhorizon_service.worker.descents.cells import CELLS
from gradhorizon_service.worker.descents.curvature import curvature_along
from gradhorizon_service.worker.descents.network import Network
from gradhorizon_service.worker.descents.parameters import Layout
from gradhorizon_service.worker.descents.starts import Initialised
from gradhorizon_service.worker.descents.tasks import Adding, Latch, Task

LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
NAMES = {
    "weights": "weight_hh_l0",
    "input_weights": "weight_ih_l0",
    "input_bias": "bias_ih_l0",
    "recurrent_bias": "bias_hh_l0",
}
OPTIMIZERS: dict[str, tuple[dict[str, Any], Any]] = {
    "sgd": ({"kind": "sgd", "learning_rate": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    ),
    "nesterov": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    ),
    "adam": (
        {"kind": "adam", "learning_rate": 0.01, "betas": (0.8, 0.99), "epsilon": 1e-7},
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-7),
    ),
}
THRESHOLD = 0.05


class Model(torch.nn.Module):
    """A layer and a linear readout of its last output, from given parameters."""

    def __init__(self, cell: str, parameters: dict[str, np.ndarray], classes: int) -> None:
        super().__init__()
        weights = parameters["weights"]
        self.layer = LAYERS[cell](parameters["input_weights"].shape[1], weights.shape[1], batch_first=True)
        self.readout = torch.nn.Linear(weights.shape[1], classes)
        self.double()
        with torch.no_grad():
            for ours, theirs in NAMES.items():
                getattr(self.layer, theirs).copy_(torch.tensor(parameters[ours]))
            self.readout.weight.copy_(torch.tensor(parameters["readout_weight"]))
            self.readout.bias.copy_(torch.tensor(parameters["readout_bias"]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.readout(self.layer(inputs)[0][:, -1])
        return outputs

    def named(self) -> dict[str, torch.Tensor]:
        found = {ours: getattr(self.layer, theirs) for ours, theirs in NAMES.items()}
        return {**found, "readout_weight": self.readout.weight, "readout_bias": self.readout.bias}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("task", [Latch(8), Adding(8)], ids=["latch", "adding"])
@pytest.mark.parametrize("cell", LAYERS)
def test_fifty_steps_are_pytorchs(cell: str, task: Task, optimizer: str) -> None:
    """Two seeds, without clipping, with clip_grad_norm_ and with clip_grad_value_."""
    ours, theirs = OPTIMIZERS[optimizer]
    policies = {
        "none": ClippingPolicy("none"),
        "norm": ClippingPolicy("norm", THRESHOLD),
        "value": ClippingPolicy("value", THRESHOLD / 5),
    }
    network = Network(CELLS[cell](), 4, task.loss)
    start = Initialised(network.cell, 4, task.inputs, task.outputs)
    problem = DescentProblem(task, network, start, ours, policies, 50, (7, 8), batch=6, test_batch=4)
    found = descend(problem)
    for run in range(6):
        policy, seed = divmod(run, 2)
        parameters = {name: values[run] for name, values in found.initial.items()}
        model = Model(cell, parameters, task.outputs)
        steps = theirs(model.parameters())
        batch = batch_of(problem, seed)
        for k in range(50):
            steps.zero_grad()
            loss = loss_of(task, model(batch[0]), batch[1])
            loss.backward()  # type: ignore[no-untyped-call]
            assert found.loss[k, run] == pytest.approx(loss.item(), rel=1e-10)
            if policy == 1:
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), THRESHOLD)
                assert np.exp(found.log_gradient_norm[k, run]) == pytest.approx(norm.item(), rel=1e-9)
            if policy == 2:
                torch.nn.utils.clip_grad_value_(model.parameters(), THRESHOLD / 5)
            steps.step()
        for name, values in model.named().items():
            difference = np.linalg.norm(found.final[name][run] - values.detach().numpy())
            assert difference <= 1e-10 * np.linalg.norm(values.detach().numpy()), name
    assert found.clipped[:, 2:].any()


def batch_of(problem: DescentProblem, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The sequences that the descent sees at every step."""
    from gradhorizon_service.worker.seeds import derive_seed

    generator = np.random.default_rng(derive_seed(problem.seeds[seed], "train"))
    batch = problem.task.draw(generator, problem.batch, {})
    assert batch.inputs is not None
    return torch.tensor(batch.inputs.swapaxes(0, 1)), torch.tensor(batch.targets)


def loss_of(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if task.loss == "cross_entropy":
        return functional.cross_entropy(outputs, targets)
    return functional.mse_loss(outputs, targets)


@pytest.mark.parametrize("cell", LAYERS)
def test_the_curvature_is_autograds(cell: str) -> None:
    """u^T H u, by differentiating the gradient along u."""
    case, seen = CASES[cell], data()
    parameters = case.parameters()
    assert parameters["input_weights"].shape[-1] == WIDTH
    assert seen.inputs is not None
    layout = Layout({name: values.shape[1:] for name, values in parameters.items()})
    theta = layout.flat(parameters)
    direction = np.random.default_rng(5).standard_normal(theta.shape)
    found = curvature_along(case.network(), layout, theta, seen, direction)
    for run in range(len(theta)):
        model = Model(cell, {name: values[run] for name, values in parameters.items()}, CLASSES)
        assert model.readout.in_features == SIZE
        tensors = model.named()
        loss = functional.cross_entropy(
            model(torch.tensor(seen.inputs[:, run].swapaxes(0, 1))), torch.tensor(seen.targets[run])
        )
        unit = direction[run] / np.linalg.norm(direction[run])
        parts = {n: torch.tensor(v[0]) for n, v in layout.views(unit[None]).items()}
        gradients = torch.autograd.grad(loss, list(tensors.values()), create_graph=True)
        slope = sum((g * parts[name]).sum() for name, g in zip(tensors, gradients, strict=True))
        second = torch.autograd.grad(slope, list(tensors.values()))
        curvature = sum((h * parts[name]).sum().item() for name, h in zip(tensors, second, strict=True))
        assert found[run] == pytest.approx(curvature, rel=1e-10)
