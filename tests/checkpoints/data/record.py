"""Record small checkpoints as the real libraries write them, and the numbers in them as the libraries read them back.

    python tests/checkpoints/data/record.py torch keras onnx flax

Each word needs its library (torch; keras with jax; torch and onnx; flax), in any environment. Recorded with torch
2.13.0, keras 3.15.1, onnx 1.23.2 and flax 0.12.8. NAME.truth.npz holds every array of NAME under our reader's name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def write_truth(file_name: str, arrays: Mapping[str, Any]) -> None:
    np.savez_compressed(
        HERE / f"{file_name}.truth.npz", **{name: np.asarray(value) for name, value in arrays.items()}
    )


def record_torch() -> None:
    """A training checkpoint: state dict with a strided, a shared, a bfloat16 and a half tensor, optimizer, scalars."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.LSTM(2, 3, bidirectional=True)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 1, 2))[0].square().sum().backward()
    optimizer.step()
    grid = torch.arange(12.0).reshape(3, 4)
    extra = {
        "transposed": grid.T,
        "column": grid[:, 1],
        "expanded": grid[0, :1].expand(5),
        "bfloat16": torch.randn(3, dtype=torch.bfloat16),
        "half": torch.randn(3, dtype=torch.half),
        "uint16": torch.zeros(2, dtype=torch.uint16),
        "mask": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    nested = {
        "epoch": 3,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": model.state_dict(),
        "extra": extra,
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": {
            "lr": 0.1,
            "layers": [1, 2],
            "device": torch.device("cuda", 0),
            "dtype": torch.float32,
        },
    }
    torch.save(nested, HERE / "training.pt")
    truth = {f"state_dict.{name}": value.numpy() for name, value in model.state_dict().items()}
    truth |= {f"extra.{name}": value.detach() for name, value in extra.items() if name != "bfloat16"}
    truth["extra.bfloat16"] = extra["bfloat16"].float().numpy()
    for index, state in optimizer.state_dict()["state"].items():
        truth |= {f"optimizer_states.0.state.{index}.{name}": value.numpy() for name, value in state.items()}
    write_truth("training.pt", truth)


def record_keras() -> None:
    """One model in the two forms Keras writes: a GRU in both directions, then an LSTM without bias."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    both = layers.Bidirectional(layers.GRU(2, return_sequences=True, name="inner"), name="both")
    last = layers.LSTM(3, use_bias=False, recurrent_activation="hard_sigmoid", name="last")
    model = keras.Sequential([keras.Input((5, 2)), both, last])
    model.save(HERE / "model.keras")
    model.save(HERE / "model.h5")
    cells = {
        "both/forward_inner": both.forward_layer,
        "both/backward_inner": both.backward_layer,
        "last": last,
    }
    roles = ("kernel", "recurrent_kernel", "bias")
    write_truth(
        "model",
        {
            f"{name}|{role}": weights
            for name, cell in cells.items()
            for role, weights in zip(roles, cell.get_weights(), strict=False)
        },
    )


def record_onnx() -> None:
    """What PyTorch exports: a bidirectional LSTM, a GRU and a relu network without bias."""
    import onnx
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(2, 3, bidirectional=True)
            self.gru = torch.nn.GRU(6, 2)
            self.rnn = torch.nn.RNN(2, 2, nonlinearity="relu", bias=False)

        def forward(self, steps: Any) -> Any:
            return self.rnn(self.gru(self.lstm(steps)[0])[0])[0]

    torch.manual_seed(0)
    torch.onnx.export(Model(), (torch.zeros(5, 1, 2),), HERE / "exported.onnx", dynamo=False)
    graph = onnx.load(HERE / "exported.onnx").graph
    write_truth(
        "exported.onnx", {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    )


def record_flax() -> None:
    """A tree of parameters beside a step and an optimizer's state, with a bfloat16 leaf and an array in two chunks."""
    import jax
    import jax.numpy as jnp
    from flax import linen, serialization, traverse_util

    serialization.MAX_CHUNK_SIZE = 64  # bytes; 2^30 by default
    network = linen.RNN(linen.OptimizedLSTMCell(3))
    parameters = network.init(jax.random.key(0), jnp.zeros((1, 5, 2)))["params"]
    tree = {
        "params": parameters,
        "opt_state": {"0": {"mu": parameters["cell"]["hi"]}},
        "step": 3,
        "rate": np.float32(0.5),
        "large": np.arange(20.0, dtype=np.float32).reshape(4, 5),
        "low": jnp.array([1.0, -2.5], jnp.bfloat16),
    }
    (HERE / "state.msgpack").write_bytes(serialization.to_bytes(tree))
    flat = traverse_util.flatten_dict(tree, sep="/")
    del flat["step"]
    write_truth("state.msgpack", {name: np.asarray(value, np.float32) for name, value in flat.items()})


RECORDERS = {"torch": record_torch, "keras": record_keras, "onnx": record_onnx, "flax": record_flax}

if __name__ == "__main__":
    for word in sys.argv[1:]:
        RECORDERS[word]()
