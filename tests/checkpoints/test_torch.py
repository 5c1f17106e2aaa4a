"""PyTorch files: tensors are windows into storages, the pickle is never run."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoint_files import (
    ORDERED_DICT,
    REBUILD,
    SIX,
    Called,
    Named,
    Referred,
    pickled,
    storage,
    torch_file,
    window,
)  # fmt: skip
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

GRID = SIX.reshape(2, 3)

WINDOWS: dict[str, tuple[Any, Any]] = {
    "plain": (window(), GRID),
    "transposed": (window((3, 2), (1, 3)), GRID.T),
    "a column": (window((2,), (3,), 1), GRID[:, 1]),
    "a row": (window((3,), (1,), 3), GRID[1]),
    "expanded": (window((4, 3), (0, 1)), np.broadcast_to(GRID[0], (4, 3))),
    "without axes": (window((), (), 5), np.float32(5)),
    "without numbers": (window((0, 3), (3, 1), 6), np.empty((0, 3))),
    "one row with a stride of its own": (window((1, 3), (100, 1)), GRID[:1]),
    "a parameter": (Called(Named("torch._utils", "_rebuild_parameter"), (window(), True, {})), GRID),
}


@pytest.mark.parametrize(("described", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_a_window_into_a_storage_is_the_view_pytorch_had(
    described: Any, expected: Any, opened: Opened
) -> None:
    with opened(torch_file({"w": described})) as checkpoint:
        tensor = checkpoint.tensors["w"]
        assert (checkpoint.format, tensor.dtype) == ("torch", "float32")
        np.testing.assert_array_equal(tensor.load(), expected)
        assert tensor.load().shape == expected.shape


def test_a_view_and_a_copy_of_the_same_numbers_have_one_hash(opened: Opened) -> None:
    copied = storage("1")
    data = torch_file(
        {"view": window((3, 2), (1, 3)), "copy": window((3, 2), (2, 1), where=copied)},
        {"0": SIX.tobytes(), "1": np.ascontiguousarray(GRID.T).tobytes()},
    )
    with opened(data) as checkpoint:
        assert checkpoint.tensors["view"].sha256() == checkpoint.tensors["copy"].sha256()


KINDS = {
    "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2",
    "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), KINDS.items())
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_storage_is_read_in_either_byte_order(kind: str, code: str, order: str, opened: Opened) -> None:
    numbers = np.array([0, 1, 1, 0, 1, 1]).astype(code)
    written = numbers.astype(numbers.dtype.newbyteorder(">" if order == "big" else "<"))
    tree = {"w": window(where=storage(kind=kind))}
    with opened(torch_file(tree, {"0": written.tobytes()}, {"m/byteorder": order.encode()})) as checkpoint:
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), numbers.reshape(2, 3))


def test_bfloat16_is_the_upper_half_of_a_float32(opened: Opened) -> None:
    upper = (SIX.view(np.uint32) >> 16).astype("<u2")
    with opened(
        torch_file({"w": window(where=storage(kind="BFloat16Storage"))}, {"0": upper.tobytes()})
    ) as checkpoint:
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), GRID)


def test_nested_names_are_joined_by_dots_and_plain_values_kept(opened: Opened) -> None:
    tree = {
        "state_dict": Called(ORDERED_DICT, ()), "model": {"rnn": {"weight_hh_l0": window()}},
        "list": [window((), ()), 7],
        "epoch": 3, "best": 0.5, "done": True, "note": None,
    }  # fmt: skip
    with opened(torch_file(tree)) as checkpoint:
        assert set(checkpoint.tensors) == {"model.rnn.weight_hh_l0", "list.0"}
        assert checkpoint.metadata["values"] == {
            "list.1": 7,
            "epoch": 3,
            "best": 0.5,
            "done": True,
            "note": None,
        }


@pytest.mark.parametrize(
    "tree",
    [{"optimizer": {"state": {0: {"m": window()}}}}, {"state": {0: {"m": window()}}, "param_groups": []}],
)
def test_what_an_optimizer_keeps_is_marked(tree: Any, opened: Opened) -> None:
    with opened(torch_file(tree)) as checkpoint:
        assert [tensor.role for tensor in checkpoint.tensors.values()] == ["optimizer"]


def test_compressed_members_are_read_too(opened: Opened) -> None:
    with opened(torch_file({"w": window((3,), (1,), 3)}, compression=zipfile.ZIP_DEFLATED)) as checkpoint:
        np.testing.assert_array_equal(checkpoint.tensors["w"].load(), GRID[1])


class Attack:
    """What `pickle` would run on loading."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(
    protocol: int, fault: Fault, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    refused = fault(torch_file(pickle.dumps({"w": Attack(marker)}, protocol)))
    assert isinstance(refused, Unsafe)
    assert f"{os.system.__module__}.system" in refused.message
    assert not marker.exists()


GLOBALS = [
    ("builtins", "eval"), ("builtins", "getattr"), ("torch", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch._utils", "_rebuild_tensor_v2\0"), ("__main__", "Net"), ("collections", "OrderedDict.__init__"),
    ("numpy.core.multiarray", "_reconstruct"), ("torch._tensor", "_rebuild_from_type_v2"),
]  # fmt: skip


@pytest.mark.parametrize("name", GLOBALS, ids=".".join)
def test_any_other_global_is_refused_by_its_full_name(name: tuple[str, str], fault: Fault) -> None:
    refused = fault(torch_file({"w": Called(Named(*name), ())}))
    assert isinstance(refused, Unsafe)
    assert repr(".".join(name)) in refused.message


def test_a_global_that_is_named_on_the_stack_is_refused_too(fault: Fault) -> None:
    module, name = (b"\x8c" + bytes([len(text)]) + text for text in (b"os", b"system"))
    assert "'os.system'" in fault(torch_file(b"\x80\x04" + module + name + b"\x93)R.")).message


INSTRUCTIONS = {
    "INST": b"(ios\nsystem\n", "OBJ": b"(cos\nsystem\no", "NEWOBJ": b"]]\x81", "EXT1": b"\x82\x01", "PERSID": b"Px\n",
    "REDUCE of a list": b"])R", "BYTEARRAY8": b"\x96" + struct.pack("<Q", 0), "LONG": b"L1L\n", "DUP": b"N2",
}  # fmt: skip


@pytest.mark.parametrize("code", INSTRUCTIONS.values(), ids=INSTRUCTIONS)
def test_an_instruction_that_data_does_not_need_is_refused(code: bytes, fault: Fault) -> None:
    assert isinstance(fault(torch_file(b"\x80\x02" + code + b".")), Unsafe | Damaged)


def test_attributes_are_set_on_nothing(fault: Fault, opened: Opened) -> None:
    """BUILD on an allowed name would change the real function for the rest of the process."""
    named = b"ctorch._utils\n_rebuild_tensor_v2\n"
    assert "sets attributes" in fault(torch_file(b"\x80\x02" + named + b"}b.")).message
    with opened(torch_file(b"\x80\x02}" + pickled({"w": window()})[2:-1] + b"b.", {})) as checkpoint:
        assert not checkpoint.tensors  # a dictionary's attributes are dropped


REFUSED: dict[str, tuple[Any, type[CheckpointFault], str]] = {
    "beyond the storage": (window((3, 3)), Damaged, "beyond the end"),
    "an offset beyond it": (window(offset=1), Damaged, "beyond the end"),
    "a negative offset": (window(offset=-1), Damaged, "offset"),
    "a negative stride": (window(strides=(-3, 1)), Damaged, "whole numbers"),
    "a negative length": (window(shape=(-2, 3)), Damaged, "whole numbers"),
    "huge strides": (window((2, 2), (2**62, 1)), Damaged, "more numbers"),
    "a huge shape": (window((2**40, 2**40), (0, 0)), Damaged, "more numbers"),
    "a large view of one number": (window((2**20, 2**20), (0, 0)), TooLarge, "bytes in all"),
    "fewer strides than axes": (window(strides=(1,)), Damaged, "fit together"),
    "a shape that is no tuple": (window(shape=[2, 3]), Damaged, "no shape"),
    "a shape of booleans": (window(shape=(True, 3)), Damaged, "whole numbers"),
    "a missing storage": (window(where=storage("7")), Damaged, "missing"),
    "a storage of another length": (window(where=storage(count=7)), Damaged, "another length"),
    "a storage of another type": (window(where=storage(kind="DoubleStorage")), Damaged, "another length"),
    "a key that climbs": (window(where=storage("../0")), Damaged, "other than a number"),
    "an unknown storage": (window(where=storage(kind="Size")), Damaged, "no known type"),
    "something else outside": (Referred(("module", "os")), Damaged, "other than a storage"),
    "a bare storage": (storage(), Unsupported, "bare storage"),
    "no storage": (Called(REBUILD, ({}, 0, (1,), (1,), False, {})), Damaged, "without its storage"),
    "a negated view": (window(rest=({"neg": True},)), Unsupported, "negated"),
    "pairs": (Called(ORDERED_DICT, ([],)), Unsupported, "pairs"),
    "a key that is no name": ({(1, 2): 3}, Unsupported, "neither names"),
    "keys chosen to collide": ({2**61 - 1: 1}, Unsupported, "neither names"),
    "one name for two": ({"a.b": window(), "a": {"b": window()}}, Damaged, "two tensors called"),
    "a long name": ({"a" * 2000: 1}, TooLarge, "1000 characters"),
}


@pytest.mark.parametrize(("value", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_description_that_lies_is_refused_with_its_reason(
    value: Any, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(torch_file({"": value} if not isinstance(value, dict) else value))
    assert type(refused) is kind
    assert reason in refused.message


DAMAGED = {
    "empty": b"",
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02u.",
    "an open mark": b"(N.",
    "a memo that is not there": b"h\x05.",
    "a cut text": b"X\xff\xff\xff\xff.",
    "text that is no text": b"X\x01\0\0\0\xff.",
    "items set on a list": b"]NNs.",
    "half an item": b"}(Nu.",
    "appended to a dictionary": b"}Na.",
    "a cut line": b"cos",
    "a cut number": b"\x8a\xff\x01.",
    "a stored mark": b"(q\0.",
}


@pytest.mark.parametrize("code", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_pickle_is_refused(code: bytes, fault: Fault) -> None:
    assert isinstance(fault(torch_file(code)), Damaged)


def test_a_list_that_holds_itself_is_refused(fault: Fault) -> None:
    assert "nested deeper than 64" in fault(torch_file(b"]q\0h\0a.")).message


def test_small_pickles_of_many_values_are_refused(fault: Fault) -> None:
    """Each list holds the one before it ten times: three hundred bytes stand for a thousand million values."""
    code = b"(]Naq\0"
    for level in range(9):
        code += b"](" + 10 * bytes([ord("h"), level]) + b"eq" + bytes([level + 1])
    assert isinstance(fault(torch_file(code + b"l.")), TooLarge)


ARCHIVES: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "a TorchScript program": (
        torch_file({}, more={"m/constants.pkl": b"", "m/code/__torch__.py": b""}), Unsupported, "TorchScript",
    ),
    "two pickles": (torch_file({}, more={"n/data.pkl": b""}), Damaged, "exactly one data.pkl"),
    "an odd byte order": (torch_file({}, more={"m/byteorder": b"middle"}), Damaged, "byteorder"),
    "cut off": (torch_file({"w": window()})[:-30], Damaged, "cut off"),
    "before version 1.6": (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", Unsupported, "before version 1.6",
    ),
    "a bare pickle": (pickle.dumps({"a": 1}), Unsafe, "bare pickle"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "reason"), ARCHIVES.values(), ids=ARCHIVES)
def test_other_pytorch_files_are_refused_with_their_reason(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


def test_a_pickle_above_the_limit_is_refused_unread(fault: Fault) -> None:
    refused = fault(torch_file(b"N" * 20_000), ReadLimits(max_header_bytes=10_000))
    assert "of 20000 bytes; at most 10000" in refused.message
