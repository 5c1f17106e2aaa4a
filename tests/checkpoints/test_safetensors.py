"""`.safetensors` and its shards: numbers are exact, and headers that lie are refused before they cost anything."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors

from checkpoint_files import entry, safetensors
from gradhorizon_service.checkpoints import (
    Checkpoint,
    CheckpointFault,
    Damaged,
    NotRecognised,
    ReadLimits,
    TooLarge,
    Unsafe,
    Unsupported,
    open_checkpoint,
)

Fault = Callable[..., CheckpointFault]
Opened = Callable[..., Checkpoint]

READ = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I8": "<i1", "U32": "<u4", "U16": "<u2"}


def test_tensors_are_read_as_the_library_wrote_them(opened: Opened) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 100, (2, 3)).astype(code) for name, code in READ.items()}
    with opened(save_safetensors(arrays, metadata={"format": "pt"})) as checkpoint:
        assert checkpoint.format == "safetensors"
        assert checkpoint.metadata == {"metadata": {"format": "pt"}}
        assert set(checkpoint.tensors) == set(arrays)
        for name, array in arrays.items():
            tensor = checkpoint.tensors[name]
            assert (tensor.dtype, tensor.load().dtype) == (name, array.dtype)
            np.testing.assert_array_equal(tensor.load(), array)


def test_bfloat16_is_the_upper_half_of_a_float32(opened: Opened) -> None:
    numbers = np.array([1.0, -2.5, 0.15625, 3.0e38], np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype("<u2")
    with opened(safetensors({"w": entry(0, 8, "BF16", (4,))}, upper.tobytes())) as checkpoint:
        loaded = checkpoint.tensors["w"].load()
    np.testing.assert_array_equal(loaded.view(np.uint32), numbers.view(np.uint32) & 0xFFFF0000)


def test_blanks_around_the_header_and_tensors_without_axes_are_allowed(opened: Opened) -> None:
    header = json.dumps({"w": entry(shape=()), "none": entry(8, 8, shape=(0, 3))}).encode()
    with opened(safetensors(b"  " + header + b"   ", np.float64(2).tobytes())) as checkpoint:
        assert checkpoint.tensors["w"].load() == 2.0
        assert checkpoint.tensors["none"].load().shape == (0, 3)


@pytest.mark.parametrize(("dtype", "size"), [("F8_E5M2", 4), ("F4", 2), ("F6_E2M3", 3), ("C64", 32)])
def test_a_dtype_that_is_not_read_is_listed_and_refused_by_name_when_loaded(
    dtype: str, size: int, opened: Opened
) -> None:
    header = {"odd": entry(0, size, dtype, (4,)), "w": entry(size, size + 8)}
    with opened(safetensors(header, b"\0" * (size + 8))) as checkpoint:
        assert checkpoint.tensors["odd"].dtype == dtype
        assert checkpoint.tensors["w"].load() == 0.0
        for ask in (checkpoint.tensors["odd"].load, checkpoint.tensors["odd"].sha256):
            with pytest.raises(Unsupported, match=rf"'odd' as {dtype}"):
                ask()


def test_integers_are_no_weights(opened: Opened) -> None:
    with opened(save_safetensors({"n": np.arange(3)})) as checkpoint:
        assert not checkpoint.tensors["n"].is_floating
        with pytest.raises(Unsupported, match="'n' as I64"):
            checkpoint.tensors["n"].load_float64()


TWO_KEYS = b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}"
EIGHT = b"\0" * 8

REFUSED = {
    "a header past the end": (struct.pack("<Q", 100) + b"{}", "cut off"),
    "a header of 2^63 bytes": (struct.pack("<Q", 2**63) + b"{}", "cut off"),
    "no JSON": (safetensors(b"{w}"), "no JSON"),
    "a key twice": (safetensors(TWO_KEYS, EIGHT), "stands twice"),
    "metadata that is no text": (safetensors({"__metadata__": {"a": 1}, "w": entry()}, EIGHT), "__metadata__"),
    "no offsets": (safetensors({"w": {"dtype": "F64", "shape": [1]}}, EIGHT), "dtype, shape and data_offsets"),
    "an unknown dtype": (safetensors({"w": entry(dtype="F128")}, EIGHT), "'w' in a dtype"),
    "a negative length": (safetensors({"w": entry(shape=(-1,))}, EIGHT), "whole numbers"),
    "a shape that overflows": (safetensors({"w": entry(shape=(2**62, 2**62))}, EIGHT), "do not fit"),
    "an empty shape that overflows": (
        safetensors({"v": entry(0, 0, shape=(0, 2**62)), "w": entry()}, EIGHT), "more numbers than any file",
    ),
    "offsets that do not fit": (safetensors({"w": entry(0, 16)}, EIGHT * 2), "do not fit"),
    "nine axes": (safetensors({"w": entry(shape=(1,) * 9)}, EIGHT), "at most 8"),
    "an overlap": (safetensors({"a": entry(0, 8), "b": entry(0, 8)}, EIGHT), "overlap"),
    "half an overlap": (safetensors({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12), "overlap"),
    "a hole": (safetensors({"a": entry(0, 8), "b": entry(16, 24)}, b"\0" * 24), "gap"),
    "past the end": (safetensors({"w": entry()}, b"\0" * 7), "holds 7 bytes"),
    "trailing bytes": (safetensors({"w": entry()}, b"\0" * 9), "holds 9 bytes"),
    "deep nesting": (safetensors(b'{"w":' * 200 + b"1" + b"}" * 200), "deeper"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_header_that_lies_is_refused_with_its_reason(data: bytes, reason: str, fault: Fault) -> None:
    refused = fault(data)
    assert isinstance(refused, Damaged)
    assert reason in refused.message


def test_a_header_above_the_limit_is_refused_unread(fault: Fault) -> None:
    data = safetensors(json.dumps({"w": entry()}).encode() + b" " * 2000, EIGHT)
    refused = fault(data, ReadLimits(max_header_bytes=1000))
    assert isinstance(refused, TooLarge)
    assert "at most 1000" in refused.message


def test_more_tensors_than_allowed_are_refused(fault: Fault) -> None:
    header = {str(index): entry(8 * index, 8 * index + 8) for index in range(11)}
    assert "at most 10" in fault(safetensors(header, EIGHT * 11), ReadLimits(max_tensors=10)).message


def test_thousands_of_tensors_are_read(opened: Opened) -> None:
    header = {f"layer.{index}": entry(8 * index, 8 * index + 8) for index in range(9000)}
    with opened(safetensors(header, EIGHT * 9000)) as checkpoint:
        assert len(checkpoint.tensors) == 9000


# Shards


def write_shards(folder: Path, weight_map: Mapping[str, Any]) -> Path:
    for name in ("a", "b"):
        (folder / f"{name}.safetensors").write_bytes(
            save_safetensors({name: np.full(2, ord(name), np.float32)})
        )
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 16}, "weight_map": weight_map}))
    return index


WHOLE = {"a": "a.safetensors", "b": "b.safetensors"}


@pytest.mark.parametrize("by", ["index", "folder"])
def test_a_sharded_model_is_read_by_its_index_or_its_folder(by: str, tmp_path: Path) -> None:
    index = write_shards(tmp_path, WHOLE)
    with open_checkpoint(index if by == "index" else tmp_path) as checkpoint:
        assert checkpoint.metadata == {
            "metadata": {"total_size": 16},
            "shards": ["a.safetensors", "b.safetensors"],
        }
        for name in "ab":
            np.testing.assert_array_equal(checkpoint.tensors[name].load(), np.full(2, ord(name), np.float32))


def test_a_folder_with_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "only.safetensors").write_bytes(save_safetensors({"w": np.zeros(1)}))
    with open_checkpoint(tmp_path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]


def test_a_folder_with_several_files_has_to_be_told_which(tmp_path: Path) -> None:
    write_shards(tmp_path, WHOLE).unlink()
    with pytest.raises(NotRecognised, match=r"'a\.safetensors', 'b\.safetensors'"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "../b.safetensors",
        "/etc/b.safetensors",
        "x/b.safetensors",
        "x\\b.safetensors",
        "b\0.safetensors",
        "..",
    ],
)
def test_a_shard_outside_the_folder_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(Unsafe, match="outside its own folder"):
        open_checkpoint(write_shards(tmp_path, {**WHOLE, "b": place}))


BAD_MAPS: dict[str, tuple[Any, type[CheckpointFault], str]] = {
    "a file that is not there": ({**WHOLE, "b": "c.safetensors"}, Damaged, "not beside it"),
    "a tensor that is elsewhere": ({"a": "b.safetensors", "b": "b.safetensors"}, Damaged, "does not hold it"),
    "a tensor it does not name": ({"a": "a.safetensors", "z": "b.safetensors"}, Damaged, "does not hold it"),
    "another format": ({"a": "model.bin"}, Unsupported, r"other than \.safetensors"),
    "no map": ({}, Unsupported, "no weight_map"),
    "numbers": ({"a": 1}, Unsupported, r"other than \.safetensors"),
}


@pytest.mark.parametrize(("weight_map", "kind", "reason"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_an_index_that_does_not_fit_its_files_is_refused(
    weight_map: Any, kind: type[CheckpointFault], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=reason):
        open_checkpoint(write_shards(tmp_path, weight_map))


def test_tensors_the_index_leaves_out_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(save_safetensors({"c": np.zeros(1), "d": np.zeros(1)}))
    with pytest.raises(Damaged, match="does not name 'd'"):
        open_checkpoint(write_shards(tmp_path, {**WHOLE, "c": "c.safetensors"}))


def test_all_shards_together_are_bounded(tmp_path: Path) -> None:
    index = write_shards(tmp_path, WHOLE)
    limit = index.stat().st_size + (tmp_path / "a.safetensors").stat().st_size
    with pytest.raises(TooLarge, match=f"at most {limit}"):
        open_checkpoint(index, ReadLimits(max_file_bytes=limit))
