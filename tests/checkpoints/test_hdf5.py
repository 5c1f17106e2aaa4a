"""HDF5 and Keras: datasets by path, layers by the configuration, and no way out of the file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from checkpoint_files import zipped
from gradhorizon_service.checkpoints import (
    Checkpoint,
    CheckpointFault,
    Damaged,
    ReadLimits,
    TooLarge,
    Unsafe,
    Unsupported,
)

Fault = Callable[..., CheckpointFault]
Opened = Callable[..., Checkpoint]

GRID = np.arange(12, dtype="<f4").reshape(3, 4)


def hdf5(write: Callable[[h5py.File], object]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        write(file)
    return stream.getvalue()


def holding(array: Any = GRID, **options: Any) -> bytes:
    return hdf5(lambda file: file.create_dataset("a/w", data=array, **options))


LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {}, "chunked": {"chunks": (2, 3)}, "gzip": {"compression": "gzip", "chunks": (2, 4)},
    "gzip, shuffled": {"compression": "gzip", "shuffle": True},
    "checked": {"fletcher32": True}, "all of it": {"compression": "gzip", "shuffle": True, "fletcher32": True},
}  # fmt: skip


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("code", ["<f4", ">f4", "<f8", "<f2", "<i8", ">u2", "?"])
def test_a_dataset_is_read_whatever_its_layout_and_type(
    options: dict[str, Any], code: str, opened: Opened
) -> None:
    array = GRID.astype(code)
    with opened(holding(array, **options)) as checkpoint:
        tensor = checkpoint.tensors["a/w"]
        assert (checkpoint.format, tensor.dtype, tensor.shape) == ("hdf5", array.dtype.name, (3, 4))
        np.testing.assert_array_equal(tensor.load(), array)


def test_one_hash_whatever_the_layout(opened: Opened) -> None:
    hashes = set()
    array = np.arange(2000.0).reshape(200, 10)
    for code in ("<f8", ">f8"):
        for options in ({}, *({**layout, "chunks": (7, 3)} for layout in LAYOUTS.values())):
            with opened(holding(array.astype(code), **options)) as checkpoint:
                hashes.add(checkpoint.tensors["a/w"].sha256())
    assert hashes == {hashlib.sha256(array.tobytes()).hexdigest()}


def test_bfloat16_is_what_keras_says_of_two_opaque_bytes(opened: Opened) -> None:
    upper = (GRID.view(np.uint32) >> 16).astype("<u2")

    def write(file: h5py.File) -> None:
        file.create_dataset("w", data=upper.view("V2")).attrs["dtype"] = "bfloat16"
        file.create_dataset("v", data=upper.view("V2"))

    with opened(hdf5(write)) as checkpoint:
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), GRID)
        with pytest.raises(Unsupported, match="'v'"):
            checkpoint.tensors["v"].load()


def test_scalars_and_datasets_without_numbers_are_read(opened: Opened) -> None:
    def write(file: h5py.File) -> None:
        file["scalar"] = 2.5
        file["none"] = np.empty((0, 3))
        file["empty"] = h5py.Empty("f4")
        file["text"] = "words"

    with opened(hdf5(write)) as checkpoint:
        assert checkpoint.tensors["scalar"].load() == 2.5
        assert checkpoint.tensors["none"].load().shape == (0, 3)
        for name in ("empty", "text"):
            with pytest.raises(Unsupported, match=name):
                checkpoint.tensors[name].load()


def test_a_float_of_another_layout_is_not_taken_for_a_plain_one(opened: Opened) -> None:
    """NumPy's nearest type has the same size and other bits."""

    def write(file: h5py.File) -> None:
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_ebias(100)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"odd", kind, space)
        file["odd"][...] = 1.0

    with opened(hdf5(write)) as checkpoint, pytest.raises(Unsupported, match="'odd'"):
        checkpoint.tensors["odd"].load()


def test_links_to_other_files_are_refused_and_never_opened(fault: Fault, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    secret.write_bytes(holding())
    refused = fault(hdf5(lambda file: file.__setitem__("w", h5py.ExternalLink(str(secret), "a/w"))))
    assert isinstance(refused, Unsafe)
    assert "'w' as a link to another file" in refused.message


def test_soft_links_are_refused(fault: Fault) -> None:
    refused = fault(hdf5(lambda file: file.__setitem__("w", h5py.SoftLink("/elsewhere"))))
    assert "soft link" in refused.message


def test_numbers_in_another_file_are_refused(fault: Fault, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(GRID.tobytes())
    external = [(str(tmp_path / "raw"), 0, 48)]
    refused = fault(hdf5(lambda file: file.create_dataset("w", (12,), "<f4", external=external)))
    assert isinstance(refused, Unsafe)


def test_virtual_datasets_are_refused(fault: Fault) -> None:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 4), "<f4")
        layout[:] = h5py.VirtualSource("other.h5", "w", (3, 4))
        file.create_virtual_dataset("w", layout)

    assert isinstance(fault(hdf5(write)), Unsafe)


def test_any_other_filter_is_refused(fault: Fault) -> None:
    def write(file: h5py.File) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((3, 4))
        properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4)), properties)

    refused = fault(hdf5(write))
    assert isinstance(refused, Unsupported)
    assert "filter 32015" in refused.message


def test_a_group_inside_itself_is_refused(fault: Fault) -> None:
    def write(file: h5py.File) -> None:
        group = file.create_group("a")
        group["again"] = group

    assert "under two names" in fault(hdf5(write)).message


def test_a_dataset_that_would_grow_is_refused(fault: Fault) -> None:
    zeros = hdf5(
        lambda file: file.create_dataset(
            "w", (2**11, 2**10), "<f4", compression="gzip", data=np.zeros((2**11, 2**10))
        )
    )
    unwritten = hdf5(lambda file: file.create_dataset("w", (2**30, 2**20), "<f4", chunks=(1, 1)))
    for data, reason in ((zeros, "grow more than 100 times"), (unwritten, "in chunks of")):
        refused = fault(data)
        assert isinstance(refused, TooLarge)
        assert reason in refused.message


def test_a_dataset_with_chunks_left_out_is_refused(fault: Fault) -> None:
    def write(file: h5py.File) -> None:
        file.create_dataset("w", (4, 4), "<f4", chunks=(2, 2))[:2] = 1.0

    assert "2 of the 4 chunks of 'w'" in fault(hdf5(write)).message


@pytest.mark.parametrize("version", ["latest", ("v108", "v108"), ("v110", "v110")])
def test_newer_layouts_are_refused_with_advice(version: Any, fault: Fault) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=version) as file:
        file["w"] = GRID
    refused = fault(stream.getvalue())
    assert isinstance(refused, Unsupported)
    assert "default of h5py" in refused.message


def test_many_groups_and_datasets_are_read(opened: Opened) -> None:
    """Enough for their index to have two levels and their names to move."""
    names = [f"layer_{index}" for index in range(700)]

    def write(file: h5py.File) -> None:
        for index, name in enumerate(names):
            file[f"{name}/kernel"] = np.full(2, float(index))

    with opened(hdf5(write)) as checkpoint:
        assert {name: tensor.load().tolist() for name, tensor in checkpoint.tensors.items()} == {
            f"{name}/kernel": [float(index)] * 2 for index, name in enumerate(names)
        }


def test_groups_nested_deeper_than_allowed_are_refused(fault: Fault) -> None:
    assert "deeper than 64" in fault(hdf5(lambda file: file.create_group("/".join("a" * 70)))).message


@pytest.mark.parametrize("kept", [9, 100, 2000, -1])
def test_a_file_that_is_cut_off_is_refused(kept: int, fault: Fault) -> None:
    assert isinstance(fault(holding(np.zeros((30, 40)))[:kept]), Damaged)


# Keras


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*layers: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def weights(*places: str) -> bytes:
    def write(file: h5py.File) -> None:
        for place in places:
            for index in range(3):
                file[f"{place}/{index}"] = np.full(2, index, np.float32)

    return hdf5(write)


def keras(config: Any, data: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    members = {"metadata.json": b'{"keras_version": "3.0.0"}', "config.json": text, "model.weights.h5": data}
    return zipped(members, compression)


TWO = sequential(
    layer("LSTM", "second_to_none", units=2), layer("Dense", "d"), layer("LSTM", "other", units=2)
)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_layers_without_noted_names_are_counted_by_class(compression: int, opened: Opened) -> None:
    """As the first releases of Keras 3 wrote them."""
    data = keras(TWO, weights("layers/lstm/cell/vars", "layers/lstm_1/cell/vars"), compression)
    with opened(data) as checkpoint:
        assert checkpoint.metadata["keras_version"] == "3.0.0"
        first, second = checkpoint.layers
        assert checkpoint.tensors[second.tensors["recurrent_kernel"]].load().tolist() == [1.0, 1.0]
    assert (first.name, first.tensors["kernel"]) == ("second_to_none", "layers/lstm/cell/vars/0")
    assert (second.name, second.tensors["bias"]) == ("other", "layers/lstm_1/cell/vars/2")


def test_a_layer_whose_weights_are_not_there_says_so(opened: Opened) -> None:
    with opened(keras(TWO, weights("elsewhere"))) as checkpoint:
        assert [set(layer.missing) for layer in checkpoint.layers] == 2 * [
            {"kernel", "recurrent_kernel", "bias"}
        ]


def test_cells_of_a_general_layer_are_layers(opened: Opened) -> None:
    cells = [layer("GRUCell", "g", reset_after=False), layer("MyCell", "m")]
    config = sequential(
        layer("RNN", "rnn", go_backwards=True, cell=layer("StackedRNNCells", "stack", cells=cells))
    )
    data = weights("layers/rnn/cell/cells/gru_cell/vars", "layers/rnn/cell/cells/my_cell/vars")
    with opened(keras(config, data)) as checkpoint:
        gru, mine = checkpoint.layers
    assert (gru.name, gru.kind) == ("rnn/g", "GRUCell")
    assert gru.options == {"reset_after": False, "go_backwards": True}
    assert gru.tensors["kernel"] == "layers/rnn/cell/cells/gru_cell/vars/0"
    assert (mine.kind, mine.tensors["kernel"]) == ("MyCell", "layers/rnn/cell/cells/my_cell/vars/0")


def tf_keras(file: h5py.File) -> None:
    """As TensorFlow's Keras 2 wrote a Bidirectional layer: one layer in the configuration, names that end in :0."""
    inner = layer("LSTM", "lstm", units=2, activation="tanh", use_bias=True)
    file.attrs["model_config"] = json.dumps(
        sequential(layer("Bidirectional", "both", layer=inner, merge_mode="sum"))
    )
    file.attrs["keras_version"] = np.bytes_("2.9.0")
    for direction, number in (("forward", 1), ("backward", 2)):
        for role in ("kernel", "recurrent_kernel", "bias"):
            file[f"model_weights/both/both/{direction}_lstm/lstm_cell_{number}/{role}:0"] = np.full(
                2, float(number)
            )


def test_a_model_of_keras_2_is_read(opened: Opened) -> None:
    with opened(hdf5(tf_keras)) as checkpoint:
        assert checkpoint.metadata["keras_version"] == "2.9.0"
        forward, backward = checkpoint.layers
        assert checkpoint.tensors[backward.tensors["bias"]].load().tolist() == [2.0, 2.0]
    assert (forward.options["direction"], backward.options["direction"]) == ("forward", "backward")
    assert (forward.options.get("go_backwards", False), backward.options["go_backwards"]) == (False, True)
    assert set(forward.tensors) == {"kernel", "recurrent_kernel", "bias"}


def nested(depth: int) -> Any:
    config = sequential()
    for _ in range(depth):
        config = sequential(config)
    return config


BAD_KERAS: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "no weights": (
        zipped({"config.json": b"{}", "metadata.json": b"{}"}),
        Damaged,
        "without model.weights.h5",
    ),
    "weights that are no HDF5": (keras({}, b"hello"), Damaged, "no HDF5"),
    "a configuration that is no JSON": (keras(b"{", weights("a")), Damaged, "config.json"),
    "a configuration that is no object": (keras([], weights("a")), Damaged, "no JSON object"),
    "layers in layers": (keras(nested(18), weights("a")), Damaged, "nested deeper"),
}


@pytest.mark.parametrize(("data", "kind", "reason"), BAD_KERAS.values(), ids=BAD_KERAS)
def test_a_keras_archive_that_is_broken_is_refused(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {"layers": 3},
        {"layer": 3},
        {"cell": 3},
        {"name": 5, "layers": [None, 3, {}]},
        {"layers": [[]]},
    ],
)
def test_a_configuration_of_other_shape_declares_nothing(config: Any, opened: Opened) -> None:
    kinds = ("Sequential", "Bidirectional", "RNN", "TimeDistributed", 5)
    for kind in kinds:
        with opened(keras({"class_name": kind, "config": config}, weights("a"))) as checkpoint:
            assert not checkpoint.layers


def test_an_attribute_above_the_limit_is_refused(fault: Fault) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = json.dumps({"x": "y" * 5000})

    assert "more than 4000 bytes" in fault(hdf5(write), ReadLimits(max_header_bytes=4000)).message
