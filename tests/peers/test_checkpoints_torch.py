"""What PyTorch saves today, our reader gives back without it, bit by bit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gradhorizon_service.checkpoints import Unsafe, Unsupported, open_checkpoint

WIDENED = {torch.bfloat16: torch.float32}


def flattened(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {
        name: tensor
        for key, item in items
        for name, tensor in flattened(item, f"{path}.{key}" if path else str(key)).items()
    }


def assert_read_as_saved(saved: Any, path: Path, **options: Any) -> None:
    torch.save(saved, path, **options)
    expected = flattened(saved)
    with open_checkpoint(path) as checkpoint:
        assert set(checkpoint.tensors) == set(expected)
        for name, tensor in expected.items():
            read = checkpoint.tensors[name]
            assert (read.dtype, read.shape) == (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
            numbers = tensor.detach().to(WIDENED.get(tensor.dtype, tensor.dtype)).resolve_neg().numpy()
            np.testing.assert_array_equal(read.load(), numbers)
            assert read.is_finite() == bool(torch.isfinite(tensor).all())


MODULES = {
    "rnn": lambda: torch.nn.RNN(3, 4, num_layers=2, nonlinearity="relu"),
    "lstm, both ways, projected": lambda: torch.nn.LSTM(3, 4, bidirectional=True, proj_size=2),
    "gru without bias": lambda: torch.nn.GRU(3, 4, bias=False),
    "cell": lambda: torch.nn.LSTMCell(3, 4),
    "orthogonal": lambda: torch.nn.utils.parametrizations.orthogonal(torch.nn.RNN(3, 4), "weight_hh_l0"),
    "weight norm": lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.GRU(3, 4), "weight_hh_l0"),
    "spectral norm": lambda: torch.nn.utils.parametrizations.spectral_norm(
        torch.nn.RNN(3, 4), "weight_hh_l0"
    ),
    "nested": lambda: torch.nn.Sequential(
        torch.nn.Embedding(5, 3), torch.nn.ModuleDict({"rnn": torch.nn.RNN(3, 4)})
    ),
    "with buffers": lambda: torch.nn.BatchNorm1d(3),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.half])
def test_a_state_dict_is_read_as_it_was_saved(make: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    assert_read_as_saved(make().to(dtype).state_dict(), tmp_path / "m.pt")


def test_a_lightning_checkpoint_is_read_as_it_was_saved(tmp_path: Path) -> None:
    model = torch.nn.LSTM(3, 4)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    model(torch.randn(5, 3))[0].sum().backward()
    optimizer.step()
    saved = {
        "epoch": 1, "global_step": 10, "pytorch-lightning_version": "2.6.0", "state_dict": model.state_dict(),
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint{'monitor': None}": {"best": None}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()],
        "hyper_parameters": {"hidden": 4, "lr": 0.1, "name": "ü", "sizes": [1, 2], "large": 2**40},
    }  # fmt: skip
    assert_read_as_saved(saved, tmp_path / "m.ckpt")
    with open_checkpoint(tmp_path / "m.ckpt") as checkpoint:
        values = checkpoint.metadata["values"]
    assert values["hyper_parameters.name"] == "ü"
    assert values["hyper_parameters.large"] == 2**40


GRID = torch.arange(24.0).reshape(2, 3, 4)
VIEWS = {
    "transposed": GRID.permute(2, 0, 1),
    "every other": GRID[:, ::2, 1::2],
    "expanded": GRID[:1].expand(5, 3, 4),
    "a diagonal": GRID[0, :3, :3].diagonal(),
    "empty": GRID[:, :0],
    "without axes": GRID[1, 2, 3],
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "not finite": torch.tensor([1.0, float("nan"), float("inf")]),
    "integers": torch.arange(5),
    "booleans": torch.tensor([True, False]),
    "uint32": torch.zeros(3, dtype=torch.uint32),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


def test_views_and_shared_storages_are_read_as_they_were_saved(tmp_path: Path) -> None:
    tied = torch.randn(3, 4)
    assert_read_as_saved({**VIEWS, "tied": tied, "also": tied, "part": tied[1:]}, tmp_path / "m.pt")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(protocol: int, tmp_path: Path) -> None:
    assert_read_as_saved(torch.nn.GRU(3, 4).state_dict(), tmp_path / "m.pt", pickle_protocol=protocol)


def test_a_file_before_1_6_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(Unsupported, match=r"before version 1\.6.*save its state_dict again"):
        open_checkpoint(tmp_path / "m.pt")


def test_a_whole_module_is_refused_by_the_class_it_names(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(Unsafe, match=r"'torch\.nn\.modules\.linear\.Linear'.*state_dict"):
        open_checkpoint(tmp_path / "m.pt")


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "m.pt")
    with pytest.raises(Unsupported, match="TorchScript"):
        open_checkpoint(tmp_path / "m.pt")


def test_a_sparse_tensor_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"w": torch.eye(3).to_sparse()}, tmp_path / "m.pt")
    with pytest.raises(Unsafe, match="_rebuild_sparse_tensor"):
        open_checkpoint(tmp_path / "m.pt")


def test_a_float8_tensor_is_listed_and_not_loaded(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3, dtype=torch.float8_e4m3fn), "v": torch.ones(2)}, tmp_path / "m.pt")
    with open_checkpoint(tmp_path / "m.pt") as checkpoint:
        assert checkpoint.tensors["v"].load().tolist() == [1.0, 1.0]
        with pytest.raises(Unsupported, match="'w' as float8_e4m3fn"):
            checkpoint.tensors["w"].load()
