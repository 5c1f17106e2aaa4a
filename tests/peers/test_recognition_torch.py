"""Layers recognised in PyTorch's own state dicts against PyTorch's own forward and backward passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from recognised import recognised, states

STEPS, BATCH = 7, 3


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def inputs(width: int) -> torch.Tensor:
    return torch.randn(STEPS, BATCH, width, dtype=torch.float64)


def saved(model: nn.Module, folder: Path, prefix: str = "") -> Path:
    path = folder / "model.safetensors"
    save_file({prefix + name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def outputs(networks: dict[str, Any], x: torch.Tensor, suffixes: list[str], prefix: str = "") -> np.ndarray:
    """h of the top layer at every step, both directions side by side."""
    below = x.numpy()
    for suffix in suffixes:
        size = networks[f"{prefix}{suffix}"]["weights"].shape[1]
        forward = states(networks[f"{prefix}{suffix}"], below)[1:, :, :size]
        sides = [forward]
        if f"{prefix}{suffix}_reverse" in networks:
            sides.append(states(networks[f"{prefix}{suffix}_reverse"], below[::-1])[1:, :, :size][::-1])
        below = np.concatenate(sides, axis=-1)
    return below


MODELS = {
    "RNN": lambda: nn.RNN(4, 5, num_layers=2, bidirectional=True),
    "LSTM": lambda: nn.LSTM(4, 5, num_layers=2, bidirectional=True),
    "GRU": lambda: nn.GRU(4, 5, num_layers=2, bidirectional=True),
    "LSTM with a projection": lambda: nn.LSTM(4, 6, num_layers=2, proj_size=3, bidirectional=True),
    "LSTM without biases": lambda: nn.LSTM(4, 5, num_layers=2, bias=False),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_stack_computes_what_pytorch_computes(make: Any, tmp_path: Path) -> None:
    model = make().double()
    x = inputs(4)
    found, networks = recognised(saved(model, tmp_path))
    assert len(found.layers) == model.num_layers * (2 if model.bidirectional else 1)
    assert found.skipped == {}
    expected = model(x)[0].detach().numpy()
    assert np.abs(outputs(networks, x, ["l0", "l1"]) - expected).max() < 1e-12


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell], ids=lambda cell: cell.__name__)
def test_a_cell_computes_what_pytorch_computes(cell: Any, tmp_path: Path) -> None:
    model = nn.ModuleDict({"core": cell(4, 5)}).double()
    x = inputs(4)
    _, networks = recognised(saved(model, tmp_path))
    state: Any = None
    hidden = []
    for step in x:
        state = model["core"](step, state)
        hidden.append((state[0] if isinstance(state, tuple) else state).detach().numpy())
    assert np.abs(states(networks["core"], x.numpy())[1:, :, :5] - np.array(hidden)).max() < 1e-12


def test_wrappers_are_left_out_of_the_names(tmp_path: Path) -> None:
    model = nn.ModuleDict({"encoder": nn.GRU(4, 5)}).double()
    x = inputs(4)
    wrapped = torch.nn.DataParallel(torch.compile(model, backend="eager"))
    found, networks = recognised(saved(wrapped, tmp_path, "state_dict."))
    assert list(networks) == ["encoder.l0"]
    assert "_orig_mod" in found.assumptions[0]
    assert found.layers[0].weights["weights"] == ("state_dict.module._orig_mod.encoder.weight_hh_l0",)
    assert (
        np.abs(outputs(networks, x, ["l0"], "encoder.") - model["encoder"](x)[0].detach().numpy()).max()
        < 1e-12
    )


def trained(model: nn.Module, x: torch.Tensor) -> None:
    """A few steps, so that re-parametrised weights are no longer what they began as."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model(x)[0].square().mean().neg().backward()
        optimizer.step()
    model.eval()


RECURRENT = "weight_hh_l0"
REPARAMETRISED = {
    "weight_norm": lambda model: parametrizations.weight_norm(model, RECURRENT),
    "weight_norm along columns": lambda model: parametrizations.weight_norm(model, RECURRENT, dim=1),
    "spectral_norm": lambda model: parametrizations.spectral_norm(model, RECURRENT),
    "older weight_norm": lambda model: torch.nn.utils.weight_norm(model, RECURRENT),
    "older spectral_norm": lambda model: torch.nn.utils.spectral_norm(model, RECURRENT),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*deprecated.*:FutureWarning")
@pytest.mark.parametrize("wrap", REPARAMETRISED.values(), ids=REPARAMETRISED)
def test_a_reparametrised_weight_is_put_together(wrap: Any, tmp_path: Path) -> None:
    model = nn.RNN(4, 5).double()
    wrap(model)
    x = inputs(4)
    trained(model, x)
    expected = model(x)[0].detach().numpy()
    found, networks = recognised(saved(model, tmp_path))
    assert found.skipped == {}
    assert np.abs(networks["l0"]["weights"] - getattr(model, RECURRENT).detach().numpy()).max() < 1e-12
    assert np.abs(outputs(networks, x, ["l0"]) - expected).max() < 1e-12


@pytest.mark.parametrize("shape", ["square", "tall"])
@pytest.mark.parametrize("map_", ["matrix_exp", "cayley", "householder"])
def test_an_orthogonal_weight_is_put_together_by_the_map_the_request_names(
    map_: str, shape: str, tmp_path: Path
) -> None:
    model = (nn.RNN if shape == "square" else nn.LSTM)(4, 5).double()
    parametrizations.orthogonal(model, RECURRENT, orthogonal_map=map_)
    trained(model, inputs(4))
    _, networks = recognised(saved(model, tmp_path), orthogonal_map=map_)
    expected = getattr(model, RECURRENT).detach().numpy()
    assert np.abs(networks["l0"]["weights"] - expected).max() < 1e-12


def test_an_orthogonal_weight_is_refused_where_the_maps_differ(tmp_path: Path) -> None:
    model = nn.RNN(4, 5).double()
    parametrizations.orthogonal(model, RECURRENT)
    _, networks = recognised(saved(model, tmp_path))
    assert np.abs(networks["l0"]["weights"] - model.weight_hh_l0.detach().numpy()).max() < 1e-12
    trained(model, inputs(4))
    found, networks = recognised(saved(model, tmp_path))
    assert networks == {}
    assert "orthogonal_map" in found.skipped["parametrizations.weight_hh_l0.original"]


def test_removing_a_parametrization_changes_nothing(tmp_path: Path) -> None:
    model = nn.GRU(4, 5).double()
    parametrizations.weight_norm(model, RECURRENT)
    _, before = recognised(saved(model, tmp_path))
    parametrize.remove_parametrizations(model, RECURRENT)
    _, after = recognised(saved(model, tmp_path))
    assert np.abs(before["l0"]["weights"] - after["l0"]["weights"]).max() < 1e-15


@pytest.mark.parametrize("make", [MODELS["RNN"], MODELS["LSTM"], MODELS["GRU"]], ids=["RNN", "LSTM", "GRU"])
def test_gradients_of_a_recognised_layer_are_autograds(make: Any, tmp_path: Path) -> None:
    """dL/dh_0 of the first layer by central differences of the recognised network, against autograd."""
    model = make().double()
    x = inputs(4)
    _, networks = recognised(saved(model, tmp_path))
    single = type(model)(4, 5).double()
    single.load_state_dict({name: model.state_dict()[name] for name in single.state_dict()})
    start = torch.randn(1, BATCH, 5, dtype=torch.float64, requires_grad=True)
    gated = isinstance(model, nn.LSTM)
    final = single(x, (start, torch.zeros_like(start)) if gated else start)[0][-1]
    direction = torch.randn_like(final)
    (exact,) = torch.autograd.grad((final * direction).sum(), start)
    size = 5
    base = np.zeros((BATCH, 10 if gated else 5))
    base[:, :size] = start.detach().numpy()[0]

    def loss(initial: np.ndarray) -> np.ndarray:
        last = states(networks["l0"], x.numpy(), initial)[-1, :, :size]
        return np.sum(last * direction.numpy(), axis=1)

    for unit in range(size):
        step = np.zeros_like(base)
        step[:, unit] = 1e-5
        slope = (loss(base + step) - loss(base - step)) / 2e-5
        assert np.abs(slope - exact.numpy()[0, :, unit]).max() < 1e-8
