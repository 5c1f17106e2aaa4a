"""PyTorch's own nn.LSTM and nn.GRU, with their tensors handed over as the docs say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases import problem
from gradhorizon import Client
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import NetworkSpec
from gradhorizon_service.worker.sources import MatrixSource

PAGE = Path(__file__).parents[2] / "docs" / "requests.md"
STEPS, BATCH, WIDTH, SIZE = 60, 3, 4, 12
NAMES = {
    "weights": "weight_hh_l0",
    "input_weights": "weight_ih_l0",
    "input_bias": "bias_ih_l0",
    "recurrent_bias": "bias_hh_l0",
    "projection": "weight_hr_l0",
}
LAYERS = {
    "lstm": lambda: torch.nn.LSTM(WIDTH, SIZE, batch_first=True),
    "lstm projection": lambda: torch.nn.LSTM(WIDTH, SIZE, proj_size=5, batch_first=True),
    "gru": lambda: torch.nn.GRU(WIDTH, SIZE, batch_first=True),
}


def network_of(name: str, layer: torch.nn.RNNBase) -> NetworkSpec:
    parameters: dict[str, Any] = {}
    for ours, theirs in NAMES.items():
        if hasattr(layer, theirs):
            array = getattr(layer, theirs).detach().numpy()
            parameters[ours] = array if array.ndim == 1 else MatrixSource(array)
    return NetworkSpec(name.split(maxsplit=1)[0], parameters)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_pytorch_has_the_same_states_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    inputs = torch.randn(BATCH, STEPS, WIDTH, dtype=torch.float64)
    sizes = [layer.proj_size or SIZE, *([SIZE] if isinstance(layer, torch.nn.LSTM) else [])]
    start = [torch.randn(1, BATCH, size, dtype=torch.float64).requires_grad_() for size in sizes]
    outputs, _ = layer(inputs, tuple(start) if len(start) > 1 else start[0])
    cotangent = torch.randn(BATCH, sizes[0], dtype=torch.float64)
    (outputs[:, -1] * cotangent).sum().backward()
    first = np.concatenate([part.detach().numpy()[0] for part in start], axis=1)
    run = runs.start(
        problem(
            network_of(name, layer),
            STEPS,
            batch=BATCH,
            inputs=GivenInputs(inputs.numpy()),
            initial_state=GivenState(first),
            loss=CotangentLoss(cotangent.numpy()),
        )
    )
    states = np.asarray(run.trajectory.states)[1:, :, : sizes[0]]  # type: ignore[attr-defined]
    assert states.swapaxes(0, 1) == pytest.approx(outputs.detach().numpy(), rel=1e-10, abs=1e-13)
    expected = np.concatenate([part.grad.numpy()[0] for part in start], axis=1)  # type: ignore[union-attr]
    norms = run.gradient_log_norms(np.array([STEPS]))[0]
    assert np.exp(norms) == pytest.approx(np.linalg.norm(expected, axis=1), rel=1e-9)
    for ours, gradient in run.parameter_gradients().items():
        wanted = getattr(layer, NAMES[ours]).grad.numpy()
        values = gradient.values()
        assert values is not None
        assert np.linalg.norm(values - wanted) <= 1e-9 * np.linalg.norm(wanted), ours


@pytest.mark.parametrize("index", [0, 1], ids=["gated cells", "any other model"])
def test_the_examples_of_the_docs_are_requests(index: int) -> None:
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[index]
    names: dict[str, Any] = {}
    exec(compile(block, "docs/requests.md", "exec"), names)
    depth = {} if names["network"]["cell"] == "jacobians" else {"depth": 20}
    with Client.in_process() as gh:
        report = gh.diagnose(network=names["network"], **depth, diagnostics=["gradient_norms", "lyapunov"])
    assert report.lyapunov is not None
    assert len(report.lyapunov.exponents) in (32, 64)
