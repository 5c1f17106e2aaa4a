"""Networks found in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon.cli._arrays import ArrayFile, CannotRead
from gradhorizon.cli._layers import Found, find_network


def file_of(**shapes: tuple[int, ...]) -> ArrayFile:
    """A file of zeros, by names with _ for . in front of the layer."""
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    return ArrayFile(Path("a.npz"), shapes, arrays.__getitem__)


def rnn(prefix: str = "", suffix: str = "_l0", size: int = 2) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}weight_ih{suffix}": (size, 1),
        f"{prefix}weight_hh{suffix}": (size, size),
        f"{prefix}bias_ih{suffix}": (size,),
        f"{prefix}bias_hh{suffix}": (size,),
    }


def found(arrays: ArrayFile, **options: Any) -> Found:
    return find_network(arrays, **{"named": {}, "cell": None, "activation": None, **options})


@pytest.mark.parametrize("prefix", ["", "rnn.", "module.encoder.layers.0."])
@pytest.mark.parametrize("suffix", ["", "_l0", "_l3_reverse"])
def test_only_layer_is_recognised_by_pytorch_names(prefix: str, suffix: str) -> None:
    arrays = file_of(**rnn(prefix, suffix), **{"head.weight": (3, 2), "head.bias": (3,)})
    network = found(arrays).network
    assert set(network) == {"cell", "activation", "weights", "input_weights", "input_bias", "recurrent_bias"}
    assert (network["cell"], network["activation"]) == ("rnn", "tanh")
    assert network["weights"].shape == (2, 2)


def test_layer_without_biases_has_none() -> None:
    assert set(found(file_of(weight_hh_l0=(2, 2), weight_ih_l0=(2, 1))).network) == {
        "cell",
        "activation",
        "weights",
        "input_weights",
    }


def test_what_was_assumed_is_said() -> None:
    says = "\n".join(found(file_of(**rnn("rnn."))).assumptions)
    assert "tanh: files do not say" in says
    assert "weights = rnn.weight_hh_l0" in says
    assert "recurrent_bias = rnn.bias_hh_l0" in says


def test_given_activation_is_no_assumption() -> None:
    network = found(file_of(**rnn()), activation="relu")
    assert network.network["activation"] == "relu"
    assert not any("files do not say" in line for line in network.assumptions)


def test_several_layers_are_listed_as_options() -> None:
    with pytest.raises(CannotRead, match="2 recurrent layers") as refused:
        found(file_of(**rnn("rnn.", "_l0"), **rnn("rnn.", "_l1")))
    assert str(refused.value).splitlines()[1:] == [
        "  --weights rnn.weight_hh_l0",
        "  --weights rnn.weight_hh_l1",
    ]


def test_named_layer_brings_its_siblings() -> None:
    arrays = file_of(**rnn("rnn.", "_l0", 2), **rnn("rnn.", "_l1", 3))
    network = found(arrays, named={"weights": "rnn.weight_hh_l1"}).network
    assert network["weights"].shape == (3, 3)
    assert network["input_weights"].shape == (3, 1)


def test_named_arrays_go_where_they_were_named() -> None:
    arrays = file_of(W=(2, 2), U=(2, 1), b=(2,))
    network = found(arrays, named={"weights": "W", "input_weights": "U", "bias": "b"}, cell="linear").network
    assert set(network) == {"cell", "weights", "input_weights", "bias"}


def test_request_names_are_recognised() -> None:
    assert set(found(file_of(weights=(2, 2), bias=(2,), other=(5,))).network) == {
        "cell",
        "activation",
        "weights",
        "bias",
    }


def test_only_array_is_the_matrix() -> None:
    assert found(file_of(anything=(2, 2))).network["weights"].shape == (2, 2)


def test_cube_is_step_jacobians() -> None:
    assert found(file_of(j=(5, 2, 2))).network["cell"] == "jacobians"


def test_file_without_a_network_lists_what_it_holds() -> None:
    with pytest.raises(
        CannotRead, match=r"name the recurrent matrix with --weights:\n  a  \[2, 2\]\n  b  \[2, 2\]"
    ):
        found(file_of(a=(2, 2), b=(2, 2)))


@pytest.mark.parametrize(("gates", "cell", "stacked"), [(3, "gru", "r, z, n"), (4, "lstm", "i, f, g, o")])
def test_stacked_gates_tell_the_cell(gates: int, cell: str, stacked: str) -> None:
    layer = {
        f"{name}_l0": (gates * 8, *width)
        for name, width in {"weight_ih": (3,), "weight_hh": (8,), "bias_ih": (), "bias_hh": ()}.items()
    }
    network = found(file_of(**layer))
    assert network.network["cell"] == cell
    assert {"weights", "input_weights", "input_bias", "recurrent_bias"} <= set(network.network)
    assert any(stacked in line for line in network.assumptions)


def test_projected_lstm_brings_its_projection() -> None:
    network = found(file_of(weight_hh_l0=(32, 5), weight_ih_l0=(32, 3), weight_hr_l0=(5, 8))).network
    assert network["cell"] == "lstm"
    assert network["projection"].shape == (5, 8)


def test_named_cell_overrules_the_shape() -> None:
    network = found(file_of(w=(12, 3)), cell="rnn")
    assert network.network["cell"] == "rnn"
    assert not any("stacked" in line for line in network.assumptions)


def test_gated_cell_takes_an_activation() -> None:
    assert found(file_of(w=(12, 3)), activation="relu").network["activation"] == "relu"


def test_activation_of_a_linear_cell_is_refused() -> None:
    with pytest.raises(CannotRead, match="belongs to cells with a nonlinearity"):
        found(file_of(w=(2, 2)), cell="linear", activation="tanh")
