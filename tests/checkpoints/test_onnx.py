"""ONNX: recurrent nodes are layers, their weights are initialisers by any name, other files stay closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from checkpoint_files import attribute, field, onnx_file, onnx_graph, onnx_node, onnx_tensor, varint
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

W = np.arange(16, dtype="<f4").reshape(1, 8, 2)
R = W[:, :, ::-1].copy()
GRID = np.arange(6, dtype="<f4").reshape(2, 3)


def with_tensor(array: np.ndarray[Any, Any], code: int = 1, data: bytes | None = None) -> bytes:
    return onnx_file(onnx_graph((), [onnx_tensor("w", array, code, data)]))


def packed(number: int, array: np.ndarray[Any, Any]) -> bytes:
    return field(number, array.tobytes())


def varints(number: int, array: np.ndarray[Any, Any]) -> bytes:
    return field(number, b"".join(varint(int(value)) for value in array.reshape(-1)))


def one_by_one(number: int, array: np.ndarray[Any, Any]) -> bytes:
    return b"".join(varint(number << 3 | 5) + value.tobytes() for value in array.reshape(-1))


BFLOAT16 = (GRID.view(np.uint32) >> 16).astype("<u2")

STORED: dict[str, tuple[bytes, np.ndarray[Any, Any], str]] = {
    "raw float": (with_tensor(GRID), GRID, "FLOAT"),
    "raw double": (with_tensor(GRID.astype("<f8"), 11), GRID.astype("<f8"), "DOUBLE"),
    "raw half": (with_tensor(GRID.astype("<f2"), 10), GRID.astype("<f2"), "FLOAT16"),
    "raw bfloat16": (with_tensor(BFLOAT16, 16), GRID, "BFLOAT16"),
    "floats": (with_tensor(GRID, 1, packed(4, GRID)), GRID, "FLOAT"),
    "floats one by one": (with_tensor(GRID, 1, one_by_one(4, GRID)), GRID, "FLOAT"),
    "doubles": (with_tensor(GRID, 11, packed(10, GRID.astype("<f8"))), GRID.astype("<f8"), "DOUBLE"),
    "half as varints": (
        with_tensor(GRID, 10, varints(5, GRID.astype("<f2").view("<u2"))),
        GRID.astype("<f2"),
        "FLOAT16",
    ),
    "bfloat16 as varints": (with_tensor(GRID, 16, varints(5, BFLOAT16)), GRID, "BFLOAT16"),
    "int64": (with_tensor(GRID, 7, varints(7, -GRID)), (-GRID).astype(np.int64), "INT64"),
    "int32": (with_tensor(GRID, 6, varints(5, -GRID)), (-GRID).astype(np.int32), "INT32"),
    "no numbers": (with_tensor(np.empty((0, 2)), 1, b""), np.empty((0, 2), np.float32), "FLOAT"),
}


@pytest.mark.parametrize(("data", "expected", "word"), STORED.values(), ids=STORED)
def test_a_tensor_is_read_from_every_field_that_can_hold_it(
    data: bytes, expected: np.ndarray[Any, Any], word: str, opened: Opened
) -> None:
    with opened(data) as checkpoint:
        tensor = checkpoint.tensors["w"]
        assert (checkpoint.format, tensor.dtype, tensor.load().dtype) == ("onnx", word, expected.dtype)
        np.testing.assert_array_equal(tensor.load(), expected)


@pytest.mark.parametrize(
    ("code", "word"), [(8, "STRING"), (17, "FLOAT8E4M3FN"), (14, "COMPLEX64"), (99, "type 99")]
)
def test_other_types_are_listed_and_not_loaded(code: int, word: str, opened: Opened) -> None:
    with (
        opened(with_tensor(GRID, code, b"")) as checkpoint,
        pytest.raises(Unsupported, match=f"'w' as {word}"),
    ):
        checkpoint.tensors["w"].load()


LSTM = onnx_node(
    "LSTM",
    ["x", "anything", "else", "", "", "", "", "P"],
    ["y"],
    attribute("direction", s="reverse"),
    attribute("activations", strings=["HardSigmoid", "Tanh", "Affine"]),
    attribute("activation_alpha", floats=[0.25, 1.0]),
    attribute("clip", floats=[3.0]),
    attribute("hidden_size", i=2),
    attribute("input_forget", i=1),
    attribute("layout", i=1),
    name="layer",
)


def test_a_node_keeps_its_attributes_and_finds_its_weights_by_place(opened: Opened) -> None:
    peepholes = np.ones((1, 6), "<f4")
    tensors = [onnx_tensor("else", R), onnx_tensor("anything", W), onnx_tensor("P", peepholes)]
    with opened(onnx_file(onnx_graph([LSTM], tensors))) as checkpoint:
        (layer,) = checkpoint.layers
    assert (layer.name, layer.kind, layer.missing) == ("layer", "LSTM", {})
    assert layer.tensors == {"W": "anything", "R": "else", "P": "P"}
    assert layer.options == {
        "direction": "reverse", "activations": ["HardSigmoid", "Tanh", "Affine"], "activation_alpha": [0.25, 1.0],
        "clip": [3.0], "hidden_size": 2, "input_forget": 1, "layout": 1,
    }  # fmt: skip


def test_who_made_the_graph_is_said(opened: Opened) -> None:
    with opened(onnx_file(onnx_graph([LSTM]))) as checkpoint:
        assert checkpoint.metadata == {"opsets": {"ai.onnx": 22}, "ir_version": 9, "producer_name": "hand"}


def test_weights_that_the_graph_computes_are_said_to_be_missing(opened: Opened) -> None:
    nodes = [onnx_node("MatMul", ["a", "b"], ["w"]), onnx_node("GRU", ["x", "w"], ["y"])]
    with opened(onnx_file(onnx_graph(nodes))) as checkpoint:
        (layer,) = checkpoint.layers
    assert layer.name == "y"
    assert layer.missing == {"W": "'w' is computed by the graph", "R": "the node has no such input"}


DERIVED: dict[str, tuple[list[bytes], np.ndarray[Any, Any]]] = {
    "an identity": ([onnx_node("Identity", ["t"], ["w"])], GRID),
    "a transpose": ([onnx_node("Transpose", ["t"], ["w"])], GRID.T),
    "a transpose by an order": ([onnx_node("Transpose", ["t"], ["w"], attribute("perm", ints=[1, 0]))], GRID.T),
    "a constant": ([onnx_node("Constant", [], ["w"], attribute("value", t=onnx_tensor("", GRID)))], GRID),
    "a new axis": ([onnx_node("Unsqueeze", ["t"], ["w"], attribute("axes", ints=[0]))], GRID[None]),
    "a new axis, given as a tensor": ([onnx_node("Unsqueeze", ["t", "axes"], ["w"])], GRID[:, :, None]),
    "a new axis and a transpose": (
        [onnx_node("Unsqueeze", ["t", "axes"], ["u"]), onnx_node("Transpose", ["u"], ["w"])], GRID[:, :, None].T,
    ),
    "a transpose and a new axis": (
        [onnx_node("Transpose", ["t"], ["u"]), onnx_node("Unsqueeze", ["u", "axes"], ["w"])], GRID.T[:, :, None],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), DERIVED.values(), ids=DERIVED)
def test_a_weight_with_its_axes_moved_is_still_a_weight(
    nodes: list[bytes], expected: np.ndarray[Any, Any], opened: Opened
) -> None:
    tensors = [onnx_tensor("t", GRID), onnx_tensor("axes", np.array([-1]), 7)]
    graph = onnx_graph([*nodes, onnx_node("RNN", ["x", "w", "w"], ["y"])], tensors)
    with opened(onnx_file(graph)) as checkpoint:
        assert checkpoint.layers[0].tensors == {"W": "w", "R": "w"}
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), expected)


def test_constants_that_no_layer_uses_are_not_listed(opened: Opened) -> None:
    node = onnx_node("Constant", [], ["c"], attribute("value", t=onnx_tensor("", GRID)))
    with opened(onnx_file(onnx_graph([node], [onnx_tensor("w", W)]))) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]


def test_a_layer_inside_a_branch_sees_the_weights_outside(opened: Opened) -> None:
    branch = onnx_graph([onnx_node("GRU", ["x", "W", "inner"], ["y"], name="gru")], [onnx_tensor("inner", R)])
    node = onnx_node("If", ["c"], ["z"], attribute("then_branch", g=branch), name="if")
    with opened(onnx_file(onnx_graph([node], [onnx_tensor("W", W)]))) as checkpoint:
        (layer,) = checkpoint.layers
        assert layer.name == "if/then_branch/gru"
        assert layer.tensors == {"W": "W", "R": "if/then_branch/inner"}
        np.testing.assert_array_equal(checkpoint.tensors["if/then_branch/inner"].load(), R)


def test_an_operator_of_another_domain_is_none_of_ours(opened: Opened) -> None:
    with opened(onnx_file(onnx_graph([LSTM + field(7, "com.example")]))) as checkpoint:
        assert not checkpoint.layers


def nested(depth: int) -> bytes:
    graph = onnx_graph()
    for _ in range(depth):
        graph = onnx_graph([onnx_node("Loop", [], ["y"], attribute("body", g=graph))])
    return onnx_file(graph)


EXTERNAL = field(1, "location") + field(2, "../../etc/passwd")
DESCRIBED = field(1, 6) + field(2, 1) + field(8, "w")

REFUSED: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "data in another file": (with_tensor(GRID, 1, field(14, 1) + field(13, EXTERNAL)), Unsafe, "never opened"),
    "only the place of another file": (with_tensor(GRID, 1, field(13, EXTERNAL)), Unsafe, "never opened"),
    "fewer bytes than the shape": (onnx_file(onnx_graph((), [DESCRIBED + field(9, b"\0" * 23)])), Damaged, "holds 23"),
    "no bytes at all": (onnx_file(onnx_graph((), [DESCRIBED])), Damaged, "holds 0"),
    "a negative length": (onnx_file(onnx_graph((), [field(1, -1) + DESCRIBED])), Damaged, "whole numbers"),
    "a shape that overflows": (onnx_file(onnx_graph((), [2 * field(1, 2**62) + DESCRIBED])), Damaged, "more numbers"),
    "doubles for a float": (with_tensor(GRID, 1, packed(10, GRID)), Damaged, "not for float32"),
    "numbers in two ways": (with_tensor(GRID, 1, packed(4, GRID) + packed(9, GRID)), Damaged, "in two ways"),
    "one name twice": (onnx_file(onnx_graph((), 2 * [onnx_tensor("w", GRID)])), Damaged, "two tensors called 'w'"),
    "a sparse tensor": (onnx_file(field(15, b"")), Unsupported, "sparse"),
    "no graph": (field(1, 9) + field(2, "hand"), Damaged, "exactly one graph"),
    "two graphs": (onnx_file(b"") + field(7, b""), Damaged, "exactly one graph"),
    "cut off": (with_tensor(GRID)[:-20], Damaged, "cut off"),
    "a field beyond its message": (onnx_file(b"\x2a\xff\xff\xff\xff\x0f"), Damaged, "beyond its message"),
    "a number that does not end": (onnx_file(b"\xff" * 20), Damaged, "does not end"),
    "a group": (onnx_file(b"\x0b"), Damaged, "no known kind"),
    "a name that is no text": (onnx_file(onnx_graph([field(4, b"\xff")])), Damaged, "UTF-8"),
    "a number for a message": (onnx_file(field(1, 5)), Damaged, "number where a message"),
    "a message for a number": (onnx_file(onnx_graph((), [field(2, b"x")])), Damaged, "message where a number"),
    "graphs in graphs": (nested(9), TooLarge, "deeper than 8"),
    "a transpose that is none": (
        onnx_file(onnx_graph([onnx_node("Transpose", ["w"], ["t"], attribute("perm", ints=[0, 0]))],
                             [onnx_tensor("w", GRID)])), Damaged, "no order of its axes",
    ),
    "an axis that is none": (
        onnx_file(onnx_graph([onnx_node("Unsqueeze", ["w"], ["t"], attribute("axes", ints=[7]))],
                             [onnx_tensor("w", GRID)])), Damaged, "do not fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_graph_that_lies_or_points_elsewhere_is_refused(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


def test_more_tensors_than_allowed_are_refused(fault: Fault) -> None:
    data = onnx_file(onnx_graph((), [onnx_tensor(str(index), GRID) for index in range(5)]))
    assert "more than 4 tensors" in fault(data, ReadLimits(max_tensors=4)).message
