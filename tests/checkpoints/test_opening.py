"""What a file is, its first bytes say; what is wrong with it is said at once, in little memory, and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkpoint_files import (
    attribute,
    entry,
    field,
    flax_array,
    msgpacked,
    npy,
    onnx_file,
    onnx_graph,
    onnx_node,
    onnx_tensor,
    safetensors,
    torch_file,
    window,
    zipped,
)  # fmt: skip
from gradhorizon_service.checkpoints import (
    Checkpoint,
    CheckpointFault,
    Damaged,
    NotRecognised,
    TooLarge,
    Unsafe,
    Unsupported,
    open_checkpoint,
)

Fault = Callable[..., CheckpointFault]
Opened = Callable[..., Checkpoint]

MEGABYTE = 2**20

UNREAD: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "nothing": (b"", Damaged, "is empty"),
    "text": (b"hello, world", NotRecognised, "no format that is read here: safetensors"),
    "one byte": (b"\x08", NotRecognised, "no format"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", Unsupported, "git lfs pull"),
    "gzip": (b"\x1f\x8b\x08\0", Unsupported, "decompress"),
    "a web page": (b"<!DOCTYPE html>", NotRecognised, "web page"),
    "a bare pickle": (b"\x80\x04N.", Unsafe, "bare pickle"),
    "an empty archive": (zipped({}), Damaged, "empty zip"),
    "an archive of other things": (
        zipped({"run.py": b"pass", "a.txt": b""}),
        NotRecognised,
        "'run.py', 'a.txt'",
    ),
    "JSON": (b'{"a": 1}', Unsupported, "no weight_map"),
    "damaged JSON": (b'{"a": ', Damaged, "cut off"),
    "GGUF": (b"GGUF\x03", Unsupported, "convert it"),
}


@pytest.mark.parametrize(("data", "kind", "reason"), UNREAD.values(), ids=UNREAD)
def test_a_file_that_is_not_read_is_told_what_it_is(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


@pytest.mark.parametrize("length", [0x0280, 0x0580, 0x8B1F, 0x023C])
def test_a_safetensors_header_may_be_as_long_as_another_format_begins(length: int, tmp_path: Path) -> None:
    """Its length comes first: 0x0580 reads like the start of a pickle, 0x8B1F like gzip, 0x3C is a bracket."""
    text = json.dumps({"w": entry()}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(text.ljust(length), np.ones(1).tobytes()))
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]


def test_a_folder_without_a_checkpoint_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match="is a folder without"):
        open_checkpoint(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRecognised, match="no regular file"):
        open_checkpoint(tmp_path / "pipe")


def test_a_file_that_is_not_there_is_an_ordinary_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_checkpoint(tmp_path / "missing")


def large_header() -> bytes:
    return struct.pack("<Q", 100 * MEGABYTE) + b'{"a":' + b" " * (100 * MEGABYTE - 5)


def crowded_header() -> bytes:
    return safetensors(b'{"a":[' + b"[]," * (4 * MEGABYTE // 3 - 10) + b"[]]}")


def colons() -> bytes:
    return safetensors(b"{" + b",".join(b'":%06d":0' % index for index in range(150_000)) + b"}")


def numbers_in_json() -> bytes:
    return safetensors(b'{"a":[' + b"0," * (2 * MEGABYTE - 20) + b"0]}")


def bomb_of_names() -> bytes:
    with_names = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
        for _ in range(39_000)
    )
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(with_names), 1)
    end_64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 39_000, 39_000, len(with_names), len(local)
    )
    return (
        local
        + with_names
        + end_64
        + locator
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 0, 0, 0)
    )


def many_instructions() -> bytes:
    return torch_file(b"\x80\x02" + b"N0" * (2 * MEGABYTE - 10))


def long_memo() -> bytes:
    return torch_file(b"\x80\x02](" + b"K\x01\x94" * (4 * MEGABYTE // 3 - 10) + b"e.")


def large_number() -> bytes:
    return torch_file(b"\x80\x02\x8b" + struct.pack("<I", MEGABYTE) + b"\xff" * MEGABYTE + b".")


def many_fields() -> bytes:
    return onnx_file(b"\xa0\x06\x01" * MEGABYTE)


def many_nodes() -> bytes:
    return onnx_file(onnx_graph([b""] * 100_000))


def many_attributes() -> bytes:
    return onnx_file(onnx_graph([onnx_node("X", [], [], attribute("a") + b"\x3d\0\0\0\0" * MEGABYTE)]))


def many_values() -> bytes:
    return (
        msgpacked({"a": flax_array(np.zeros(1)), "b": []})[:-5] + b"\xdd\x00\x10\x00\x00" + b"\xc0" * MEGABYTE
    )


def bomb() -> bytes:
    return zipped({"w.npy": npy(np.zeros(2**23))}, zipfile.ZIP_DEFLATED)


def bomb_in_torch() -> bytes:
    return torch_file(b"\x80\x02" + b"N0" * 2**24, compression=zipfile.ZIP_DEFLATED)


HOSTILE: dict[str, tuple[Callable[[], bytes], type[CheckpointFault]]] = {
    "a header of 100 MB": (large_header, TooLarge),
    "a header of empty lists": (crowded_header, Damaged),
    "a header of names with colons": (colons, Damaged),
    "a header of numbers": (numbers_in_json, Damaged),
    "a zip bomb": (bomb, TooLarge),
    "a zip bomb of instructions": (bomb_in_torch, TooLarge),
    "39 000 members of one name": (bomb_of_names, Damaged),
    "a pickle of many instructions": (many_instructions, TooLarge),
    "a pickle of many notes": (long_memo, TooLarge),
    "a pickle with a large number": (large_number, Unsafe),
    "a graph of unknown fields": (many_fields, TooLarge),
    "a graph of empty nodes": (many_nodes, TooLarge),
    "a node of many numbers": (many_attributes, TooLarge),
    "a list longer than allowed": (many_values, TooLarge),
}


def refused_by(path: Path) -> CheckpointFault:
    with pytest.raises(CheckpointFault) as caught, open_checkpoint(path):
        pass
    return caught.value


@pytest.mark.parametrize(("make", "kind"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_at_once_and_leaves_nothing(
    make: Callable[[], bytes], kind: type[CheckpointFault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "uploads", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for variable in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(variable, str(elsewhere))
    monkeypatch.chdir(elsewhere)
    path = folder / "upload"
    path.write_bytes(make())
    started = time.process_time()
    assert type(refused_by(path)) is kind
    assert time.process_time() - started < 5  # about one second where nothing else runs or collects garbage
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["upload"]


@pytest.mark.parametrize("make", [large_header, bomb, bomb_in_torch, bomb_of_names])
def test_a_hostile_file_is_refused_in_little_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(make())
    tracemalloc.start()
    try:
        refused_by(path)
        assert tracemalloc.get_traced_memory()[1] < 32 * MEGABYTE
    finally:
        tracemalloc.stop()


GRID = np.arange(6, dtype="<f4").reshape(2, 3)
SEEDS = {
    "npy": npy(GRID),
    "npz": zipped({"a.npy": npy(GRID), "b.npy": npy(GRID.T)}, zipfile.ZIP_DEFLATED),
    "safetensors": safetensors({"a": entry(0, 16, shape=(2,)), "b": entry(16, 18, "BF16")}, b"\0" * 18),
    "torch": torch_file({"a": {"w": window()}, "v": window((3, 2), (1, 3)), "n": [1, 2.5, "x"]}),
    "onnx": onnx_file(
        onnx_graph(
            [onnx_node("GRU", ["x", "w", "w"], ["y"], attribute("clip", floats=[1.0]))],
            [onnx_tensor("w", GRID), onnx_tensor("v", GRID, 10, field(5, b"\1\2\3\4\5\6"))],
        )
    ),
    "flax": msgpacked({"params": {"w": flax_array(GRID)}, "step": 1}),
}


@given(st.sampled_from(sorted(SEEDS)), st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_are_read_or_refused_and_nothing_else(
    opened: Opened, name: str, data: st.DataObject
) -> None:
    content = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointFault), opened(bytes(content)) as checkpoint:
        for tensor in checkpoint.tensors.values():
            with contextlib.suppress(CheckpointFault):
                tensor.load()
                tensor.sha256()


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_cut_off_anywhere_is_refused(name: str, fault: Fault) -> None:
    content = SEEDS[name]
    for kept in range(0, len(content), max(len(content) // 60, 1)):
        assert isinstance(fault(content[:kept]), CheckpointFault), kept


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_hdf5_is_read_or_refused_and_nothing_else(
    opened: Opened, data_folder: Path, name: str, data: st.DataObject
) -> None:
    content = bytearray((data_folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointFault), opened(bytes(content)) as checkpoint:
        for tensor in checkpoint.tensors.values():
            with contextlib.suppress(CheckpointFault):
                tensor.load()
