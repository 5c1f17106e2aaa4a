"""`.npy` and `.npz`: NumPy's arrays as NumPy wrote them, and never its pickles."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from checkpoint_files import npy, patched, zipped
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

NUMBERS = hnp.arrays(
    dtype=st.sampled_from(["<f2", "<f4", ">f8", "<f8", "|i1", ">i4", "<u8", "|b1"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    elements=st.integers(0, 1),
)


@given(NUMBERS, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_is_read_as_numpy_wrote_it(
    opened: Opened, array: np.ndarray[Any, Any], by_columns: bool
) -> None:
    with opened(npy(np.array(array, order="F" if by_columns else "C"))) as checkpoint:
        tensor = checkpoint.tensors["array"]
        assert (checkpoint.format, tensor.shape, tensor.dtype) == ("npy", array.shape, array.dtype.name)
        np.testing.assert_array_equal(tensor.load(), array)
        assert tensor.load().dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_is_read_as_numpy_wrote_it(save: Any, opened: Opened) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.standard_normal((300, 200)),
        "b": np.arange(5),
        "deep/er": np.float32(2),
        "zeros": np.zeros(9999),
    }
    stream = io.BytesIO()
    save(stream, **arrays)
    with opened(stream.getvalue()) as checkpoint:
        assert checkpoint.format == "npz"
        assert set(checkpoint.tensors) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(checkpoint.tensors[name].load(), array)


def test_text_and_complex_numbers_are_listed_and_not_loaded(opened: Opened) -> None:
    stream = io.BytesIO()
    np.savez(stream, names=np.array(["a", "bc"]), eigenvalues=np.zeros(2, complex), w=np.ones(1))
    with opened(stream.getvalue()) as checkpoint:
        assert checkpoint.tensors["w"].load() == 1.0
        assert checkpoint.tensors["eigenvalues"].dtype == "complex128"
        for name in ("names", "eigenvalues"):
            with pytest.raises(Unsupported, match=name):
                checkpoint.tensors[name].load()


PICKLE = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
GOOD = npy(np.arange(9.0))

REFUSED: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "pickled objects": (PICKLE, Unsafe, "never loaded"),
    "pickled objects in an archive": (zipped({"w.npy": PICKLE}), Unsafe, "'w' as pickled"),
    "a structured dtype": (npy(np.zeros(1, dtype=[("x", "<f8")])), Damaged, "no dtype of numbers"),
    "cut off": (GOOD[:-1], Damaged, "holds 71"),
    "cut off in the header": (GOOD[:40], Damaged, "header"),
    "too long": (GOOD + b"\0", Damaged, "holds 73"),
    "version 3": (patched(GOOD, 6, b"\x03"), Damaged, "version"),
    "an archive cut off": (zipped({"w.npy": GOOD})[:-1], Damaged, "cut off"),
    "an archive cut in half": (zipped({"w.npy": GOOD})[:150], Damaged, "cut off"),
    "a member that is no array": (zipped({"w.npy": b"hello"}), Damaged, "'w', which"),
    "a member cut off": (zipped({"w.npy": GOOD[:-8]}), Damaged, "'w' the shape"),
}


@pytest.mark.parametrize(("data", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_no_array_is_refused_with_its_reason(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert type(refused) is kind
    assert reason in refused.message


def test_a_tensor_larger_than_may_be_loaded_is_listed_only(opened: Opened) -> None:
    with opened(npy(np.zeros(100)), ReadLimits(max_tensor_bytes=799)) as checkpoint:
        tensor = checkpoint.tensors["array"]
        assert tensor.is_finite()
        with pytest.raises(TooLarge, match="'array' of 800 bytes; at most 799"):
            tensor.load()


def test_a_deflated_member_that_goes_on_is_refused_when_it_is_loaded(fault: Fault) -> None:
    """Its header, both sizes in the directory and the array's shape agree; only what deflate makes is longer."""
    data = bytearray(zipped({"w.npy": npy(np.arange(64.0)) + b"\0" * 100}, zipfile.ZIP_DEFLATED))
    size = len(npy(np.arange(64.0)))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = size.to_bytes(4, "little")
    assert "longer than it says" in fault(bytes(data)).message


def test_a_deflated_member_with_a_wrong_checksum_is_refused_when_it_is_loaded(fault: Fault) -> None:
    data = bytearray(zipped({"w.npy": npy(np.arange(64.0))}, zipfile.ZIP_DEFLATED))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 16] ^= 1
    assert "checksum" in fault(bytes(data)).message
