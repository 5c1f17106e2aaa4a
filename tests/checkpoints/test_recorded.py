"""Files that the real libraries wrote (see data/record.py) hold the numbers that the real libraries read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.checkpoints import Checkpoint, open_checkpoint

GRU = {
    "units": 2,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "reset_after": True,
}


def truth(data_folder: Path, name: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(data_folder / f"{name}.truth.npz") as recorded:
        return dict(recorded)


@pytest.mark.parametrize("name", ["training.pt", "exported.onnx", "state.msgpack"])
def test_every_tensor_is_there_with_the_numbers_the_library_reads(name: str, data_folder: Path) -> None:
    expected = truth(data_folder, name)
    with open_checkpoint(data_folder / name) as checkpoint:
        assert set(checkpoint.tensors) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(checkpoint.tensors[key].load(), array)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_layers_of_a_keras_model_find_their_weights(name: str, data_folder: Path) -> None:
    expected = truth(data_folder, "model")
    with open_checkpoint(data_folder / name) as checkpoint:
        found = {
            f"{layer.name}|{role}": checkpoint.tensors[tensor].load()
            for layer in checkpoint.layers
            for role, tensor in layer.tensors.items()
        }
        assert set(found) == set(expected)
        assert len(checkpoint.tensors) == len(expected)
        assert not any(layer.missing for layer in checkpoint.layers)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize(("name", "format_"), [("model.keras", "keras"), ("model.h5", "hdf5")])
def test_layers_of_a_keras_model_keep_their_options(name: str, format_: str, data_folder: Path) -> None:
    with open_checkpoint(data_folder / name) as checkpoint:
        assert checkpoint.format == format_
        assert checkpoint.metadata["keras_version"] == "3.15.1"
        forward, backward, last = checkpoint.layers
    assert (forward.kind, backward.kind, last.kind) == ("GRU", "GRU", "LSTM")
    assert forward.options.items() >= {**GRU, "direction": "forward", "go_backwards": False}.items()
    assert backward.options.items() >= {**GRU, "direction": "backward", "go_backwards": True}.items()
    assert last.options.items() >= {"use_bias": False, "recurrent_activation": "hard_sigmoid"}.items()
    assert "direction" not in last.options


def test_recurrent_nodes_of_an_exported_graph_are_its_layers(data_folder: Path) -> None:
    with open_checkpoint(data_folder / "exported.onnx") as checkpoint:
        lstm, gru, rnn = checkpoint.layers
        shapes = [
            [checkpoint.tensors[name].shape for name in layer.tensors.values()] for layer in checkpoint.layers
        ]
    assert (lstm.kind, lstm.options) == ("LSTM", {"direction": "bidirectional", "hidden_size": 3})
    assert (gru.kind, gru.options) == ("GRU", {"hidden_size": 2, "linear_before_reset": 1})
    assert (rnn.kind, rnn.options) == ("RNN", {"activations": ["Relu"], "hidden_size": 2})
    assert shapes == [
        [(2, 12, 2), (2, 12, 3), (2, 24)],
        [(1, 6, 6), (1, 6, 2), (1, 12)],
        [(1, 2, 2), (1, 2, 2)],
    ]
    assert [list(layer.tensors) for layer in (lstm, gru, rnn)] == [
        ["W", "R", "B"],
        ["W", "R", "B"],
        ["W", "R"],
    ]


@pytest.fixture
def training(data_folder: Path) -> Checkpoint:
    with open_checkpoint(data_folder / "training.pt") as checkpoint:
        return checkpoint


def test_what_an_optimizer_keeps_is_marked(training: Checkpoint) -> None:
    marked = {name for name, tensor in training.tensors.items() if tensor.role == "optimizer"}
    assert marked == {name for name in training.tensors if name.startswith("optimizer_states.0.state")}
    assert len(marked) == 24  # eight parameters: step and two moments each


def test_plain_values_beside_tensors_are_kept(training: Checkpoint) -> None:
    values = training.metadata["values"]
    assert values["epoch"] == 3
    assert values["hyper_parameters.lr"] == 0.1
    assert values["hyper_parameters.layers.1"] == 2
    assert values["hyper_parameters.device"] == "cuda:0"
    assert values["hyper_parameters.dtype"] == "torch.float32"


def test_flax_marks_its_optimizer_and_keeps_its_step(data_folder: Path) -> None:
    with open_checkpoint(data_folder / "state.msgpack") as checkpoint:
        assert checkpoint.metadata["values"] == {"step": 3}
        roles = {name.partition("/")[0]: tensor.role for name, tensor in checkpoint.tensors.items()}
        assert checkpoint.tensors["low"].dtype == "bfloat16"
    assert roles == {
        "params": "parameter", "opt_state": "optimizer", "rate": "parameter", "large": "parameter", "low": "parameter",
    }  # fmt: skip


def test_the_recorded_flax_file_has_an_array_in_chunks(data_folder: Path) -> None:
    assert b"__msgpack_chunked_array__" in (data_folder / "state.msgpack").read_bytes()
