"""What PyTorch saves is recognised as what PyTorch runs: states and gradients of every layer, from its own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn.utils import parametrizations

from roundtrips import BATCH, SIZE, STEPS, WIDTH, Theirs, assert_same, entries

RELU = {"activation": "relu"}
LAYERS: Mapping[str, tuple[Callable[[int], torch.nn.RNNBase], int, dict[str, Any]]] = {
    "rnn tanh": (lambda k: torch.nn.RNN(WIDTH, SIZE, k), 1, {}),
    "rnn relu": (lambda k: torch.nn.RNN(WIDTH, SIZE, k, nonlinearity="relu"), 1, RELU),
    "rnn relu, 2 layers, both ways": (
        lambda k: torch.nn.RNN(WIDTH, SIZE, k, nonlinearity="relu", bidirectional=True), 2, RELU,
    ),
    "lstm": (lambda k: torch.nn.LSTM(WIDTH, SIZE, k), 1, {}),
    "lstm without bias": (lambda k: torch.nn.LSTM(WIDTH, SIZE, k, bias=False), 1, {}),
    "lstm, 2 layers": (lambda k: torch.nn.LSTM(WIDTH, SIZE, k, dropout=0.5 * (k > 1)), 2, {}),
    "lstm, 2 layers, both ways": (lambda k: torch.nn.LSTM(WIDTH, SIZE, k, bidirectional=True), 2, {}),
    "lstm, projected": (lambda k: torch.nn.LSTM(WIDTH, SIZE, k, proj_size=2), 1, {}),
    "lstm, 2 layers, both ways, projected, without bias": (
        lambda k: torch.nn.LSTM(WIDTH, SIZE, k, proj_size=2, bidirectional=True, bias=False), 2, {},
    ),
    "gru": (lambda k: torch.nn.GRU(WIDTH, SIZE, k), 1, {}),
    "gru without bias": (lambda k: torch.nn.GRU(WIDTH, SIZE, k, bias=False), 1, {}),
    "gru, 3 layers, both ways": (lambda k: torch.nn.GRU(WIDTH, SIZE, k, bidirectional=True), 3, {}),
}  # fmt: skip
"""Layer -> how PyTorch makes it with a number of layers, how many there are, and what the file does not say."""

CELLS: Mapping[str, tuple[Callable[[], torch.nn.RNNCellBase], dict[str, Any]]] = {
    "rnn cell": (lambda: torch.nn.RNNCell(WIDTH, SIZE), {}),
    "rnn cell relu without bias": (
        lambda: torch.nn.RNNCell(WIDTH, SIZE, bias=False, nonlinearity="relu"),
        RELU,
    ),
    "lstm cell": (lambda: torch.nn.LSTMCell(WIDTH, SIZE), {}),
    "gru cell": (lambda: torch.nn.GRUCell(WIDTH, SIZE), {}),
    "gru cell without bias": (lambda: torch.nn.GRUCell(WIDTH, SIZE, bias=False), {}),
}

SAVE: Mapping[str, Callable[[dict[str, torch.Tensor], Path], None]] = {
    "pt": torch.save,
    "safetensors": safetensors.torch.save_file,
}

INPUTS = entries(1, STEPS, BATCH, WIDTH)


def saved(state: Mapping[str, torch.Tensor], path: Path) -> Path:
    tensors = {f"encoder.{name}": tensor.detach().contiguous() for name, tensor in state.items()}
    SAVE[path.suffix.removeprefix(".")](tensors, path)
    return path


def differentiated(
    start: list[torch.Tensor], states: torch.Tensor, parameters: Mapping[str, torch.Tensor], seed: int
) -> tuple[Theirs, dict[str, torch.Tensor]]:
    """A layer's states (T, B, P) and the gradients of a loss on the last of them, all by autograd."""
    cotangent = torch.from_numpy(entries(seed, *states.shape[1:]))
    loss = (states[-1] * cotangent).sum()
    found = torch.autograd.grad(loss, [*start, *parameters.values()], retain_graph=True)
    first, gradient = (
        torch.cat([part.detach() for part in parts], dim=1) for parts in (start, found[: len(start)])
    )
    theirs = Theirs(first.numpy(), states.detach().numpy(), cotangent.numpy(), gradient.numpy())
    return theirs, dict(zip(parameters, found[len(start) :], strict=True))


def top(layer: torch.nn.RNNBase, index: int) -> tuple[dict[str, Theirs], dict[str, torch.Tensor]]:
    """The uppermost layer of a stack, a direction each: what PyTorch returns are its states alone."""
    directions = 2 if layer.bidirectional else 1
    sizes = [layer.proj_size or SIZE, *([SIZE] if isinstance(layer, torch.nn.LSTM) else [])]
    start = [
        torch.from_numpy(entries(10 + k, layer.num_layers * directions, BATCH, size))
        for k, size in enumerate(sizes)
    ]
    parts = [[part[k].clone().requires_grad_() for k in range(len(part))] for part in start]
    whole = [torch.stack(part) for part in parts]
    outputs, _ = layer(torch.from_numpy(INPUTS), tuple(whole) if len(whole) > 1 else whole[0])
    theirs, gradients = {}, {}
    for k, states in enumerate(outputs.chunk(directions, dim=2)):
        suffix = f"l{index}{'_reverse' * k}"
        own = {name: weight for name, weight in layer.named_parameters() if name.endswith(f"_{suffix}")}
        at = index * directions + k
        theirs[f"encoder.{suffix}"], found = differentiated(
            [part[at] for part in parts], states.flip(0) if k else states, own, 20 + at
        )
        gradients |= found
    return theirs, gradients


def cut(make: Callable[[int], torch.nn.RNNBase], whole: torch.nn.RNNBase, layers: int) -> torch.nn.RNNBase:
    """The lowest layers of a stack."""
    part = make(layers).double()
    part.load_state_dict(
        {name: tensor for name, tensor in whole.state_dict().items() if name in part.state_dict()}
    )
    return part.eval()


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_the_states_and_gradients_that_pytorch_gives_it(
    name: str, suffix: str, tmp_path: Path
) -> None:
    make, count, said = LAYERS[name]
    torch.manual_seed(0)
    layer = make(count).double()
    theirs: dict[str, Theirs] = {}
    gradients: dict[str, torch.Tensor] = {}
    for index in range(count):
        found, more = top(cut(make, layer, index + 1), index)
        theirs |= found
        gradients |= more
    path = saved(layer.state_dict(), tmp_path / f"model.{suffix}")
    assert_same(path, INPUTS, theirs, saved(gradients, tmp_path / f"gradients.{suffix}"), **said)


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_has_the_states_and_gradients_that_pytorch_gives_it(
    name: str, suffix: str, tmp_path: Path
) -> None:
    make, said = CELLS[name]
    torch.manual_seed(0)
    cell = make().double()
    start = [
        torch.from_numpy(entries(10 + k, BATCH, SIZE)).requires_grad_()
        for k in range(2 if isinstance(cell, torch.nn.LSTMCell) else 1)
    ]
    state: Any = tuple(start) if len(start) > 1 else start[0]
    states = []
    for x in torch.from_numpy(INPUTS):
        state = cell(x, state)
        states.append(state[0] if len(start) > 1 else state)
    theirs, gradients = differentiated(start, torch.stack(states), dict(cell.named_parameters()), 20)
    path = saved(cell.state_dict(), tmp_path / f"model.{suffix}")
    assert_same(path, INPUTS, {"encoder": theirs}, saved(gradients, tmp_path / f"gradients.{suffix}"), **said)


NORMALISED: Mapping[str, tuple[Callable[[torch.nn.Module, str], object], dict[str, Any]]] = {
    "weight norm": (parametrizations.weight_norm, {}),
    "spectral norm": (parametrizations.spectral_norm, {}),
    **{
        f"orthogonal by {map_}": (
            lambda module, name, map_=map_: parametrizations.orthogonal(module, name, map_),
            {"orthogonal_map": map_},
        )
        for map_ in ("matrix_exp", "cayley", "householder")
    },
}  # fmt: skip
"""Parametrization of the recurrent matrix -> how it is put on, and what the file does not say."""


@pytest.mark.parametrize("name", NORMALISED)
def test_a_reparametrised_layer_has_the_states_and_gradients_that_pytorch_gives_it(
    name: str, tmp_path: Path
) -> None:
    put_on, said = NORMALISED[name]
    torch.manual_seed(0)
    layer = torch.nn.RNN(WIDTH, SIZE).double()
    put_on(layer, "weight_hh_l0")
    with torch.no_grad():
        for _ in range(3):  # the vectors of the spectral norm are iterated, as in training
            layer(torch.from_numpy(INPUTS))
        for weight in layer.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    theirs, _ = top(layer.eval(), 0)
    assert_same(saved(layer.state_dict(), tmp_path / "model.pt"), INPUTS, theirs, **said)
