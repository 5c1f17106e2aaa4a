"""Flax's msgpack: arrays by their path, in chunks or not, and nothing that is bigger than the file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from checkpoint_files import Extended, flax_array, msgpacked
from gradhorizon_service.checkpoints import (
    Checkpoint,
    CheckpointFault,
    Damaged,
    ReadLimits,
    TooLarge,
    Unsupported,
)

Fault = Callable[..., CheckpointFault]
Opened = Callable[..., Checkpoint]

GRID = np.arange(6, dtype="<f4").reshape(2, 3)
LEAF = flax_array(GRID)


def chunked(shape: Any, chunks: Any) -> dict[str, Any]:
    return {"__msgpack_chunked_array__": True, "shape": shape, "chunks": chunks}


@pytest.mark.parametrize("code", ["<f2", "<f4", "<f8", "<i4", "<u1", "?"])
def test_an_array_is_read_in_its_own_type(code: str, opened: Opened) -> None:
    array = np.array([[0, 1], [1, 1]]).astype(code)
    with opened(
        msgpacked({"params": {"w": flax_array(array)}, "step": 3, "note": None, "rate": 0.5})
    ) as checkpoint:
        tensor = checkpoint.tensors["params/w"]
        assert (checkpoint.format, tensor.dtype) == ("flax", array.dtype.name)
        np.testing.assert_array_equal(tensor.load(), array)
        assert checkpoint.metadata["values"] == {"step": 3, "note": None, "rate": 0.5}


def test_a_scalar_and_bfloat16_are_arrays_too(opened: Opened) -> None:
    upper = (GRID.view(np.uint32) >> 16).astype("<u2")
    tree = {"s": flax_array(np.array(2.0), code=3), "b": flax_array(upper, "bfloat16")}
    with opened(msgpacked(tree)) as checkpoint:
        assert checkpoint.tensors["s"].load() == 2.0
        np.testing.assert_array_equal(checkpoint.tensors["b"].load(), GRID)


def test_an_array_in_chunks_is_put_together(opened: Opened) -> None:
    flat = GRID.reshape(-1)
    tree = {"w": chunked({"0": 2, "1": 3}, {"0": flax_array(flat[:4]), "1": flax_array(flat[4:])})}
    with opened(msgpacked(tree)) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), GRID)
        assert checkpoint.tensors["w"].is_finite()


def test_types_that_are_not_read_are_listed(opened: Opened) -> None:
    with opened(msgpacked({"w": flax_array(np.zeros(2, np.complex64)), "v": LEAF})) as checkpoint:
        assert checkpoint.tensors["v"].load().shape == (2, 3)
        with pytest.raises(Unsupported, match="'w' as complex64"):
            checkpoint.tensors["w"].load()


def deep(levels: int) -> Any:
    tree: Any = LEAF
    for _ in range(levels):
        tree = {"a": tree}
    return tree


WHOLE = msgpacked({"w": LEAF})

REFUSED: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "a complex number": (msgpacked({"z": Extended(2, b""), "w": LEAF}), Unsupported, "complex number at 'z'"),
    "an unknown extension": (msgpacked({"w": Extended(7, b"x")}), Unsupported, "extension type 7"),
    "an unknown dtype": (msgpacked({"w": flax_array(GRID, "object")}), Unsupported, "'w' as 'object'"),
    "a dtype that is none": (msgpacked({"w": Extended(1, msgpacked([[1], 5, b""]))}), Unsupported, "'w' as '5'"),
    "no bytes": (msgpacked({"w": Extended(1, msgpacked([[2, 3], "float32", 5]))}), Damaged, "without its bytes"),
    "another description": (msgpacked({"w": Extended(1, msgpacked([1, 2]))}), Damaged, "shape, dtype and bytes"),
    "another shape": (msgpacked({"w": flax_array(GRID, shape=[2, 4])}), Damaged, "holds 24"),
    "a negative shape": (msgpacked({"w": flax_array(GRID, shape=[-2, -3])}), Damaged, "whole numbers"),
    "a shape that overflows": (msgpacked({"w": flax_array(GRID, shape=[2**62, 2**62])}), Damaged, "more numbers"),
    "chunks out of order": (msgpacked({"w": chunked({"0": 6}, {"1": LEAF, "0": LEAF})}), Damaged, "not numbered"),
    "no chunks": (msgpacked({"w": chunked({"0": 0}, {})}), Damaged, "no arrays"),
    "chunks of two types": (
        msgpacked({"w": chunked({"0": 12}, {"0": LEAF, "1": flax_array(GRID.astype("<f8"))})}),
        Damaged, "several dtypes",
    ),
    "no arrays": (msgpacked({"a": 1}), Unsupported, "without a single array"),
    "deep nesting": (msgpacked(deep(70)), TooLarge, "deeper than 64"),
    "a name twice": (struct.pack(">B", 0x82) + 2 * (msgpacked("w") + msgpacked(LEAF)), Damaged, "'w' twice"),
    "a key that is no text": (b"\x82" + msgpacked("w") + msgpacked(LEAF) + 2 * msgpacked(1), Damaged, "no text"),
    "cut off": (WHOLE[:-1], Damaged, "cut off"),
    "more after it": (WHOLE + b"\0", Damaged, "more after"),
    "a map larger than the file": (b"\xdf\xff\xff\xff\xff" + WHOLE[5:], Damaged, "cut off"),
    "a byte that starts nothing": (b"\x81" + msgpacked("w") + b"\xc1", Damaged, "0xc1"),
    "text that is no text": (b"\x81" + msgpacked("w") + b"\xa1\xff", Damaged, "UTF-8"),
    "a long text": (msgpacked({"w": "x" * 20_000}), TooLarge, "20000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_lies_is_refused_with_its_reason(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


def test_more_values_than_allowed_are_refused(fault: Fault) -> None:
    data = msgpacked({"w": LEAF, "list": list(range(100))})
    assert "more than 50 fields" in fault(data, ReadLimits(max_values=30, max_tensors=20)).message
