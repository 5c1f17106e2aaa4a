"""A tensor: its hash, its bad numbers, and that none of it holds more of a file in memory than it must."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from checkpoint_files import entry, npy, safetensors, storage, torch_file, window, zipped
from gradhorizon_service.checkpoints import Checkpoint, Tensor

Opened = Callable[..., Checkpoint]

MEGABYTE = 2**20


def peak(measured: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        measured()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_hash_is_that_of_the_numbers_row_by_row_and_little_endian(opened: Opened) -> None:
    array = np.random.default_rng(0).standard_normal((5, 7))
    expected = hashlib.sha256(array.astype("<f8").tobytes()).hexdigest()
    for stored in (
        array,
        array.astype(">f8"),
        np.asfortranarray(array),
        np.asfortranarray(array.astype(">f8")),
    ):
        with opened(npy(stored)) as checkpoint:
            assert checkpoint.tensors["array"].sha256() == expected


@pytest.mark.parametrize(("code", "dtype"), [("<f8", "F64"), ("<f4", "F32"), ("<f2", "F16")])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted(code: str, dtype: str, bad: float, opened: Opened) -> None:
    array = np.ones(5, code)
    array[[1, 3]] = bad
    header = {"w": entry(0, array.nbytes, dtype, (5,))}
    with opened(safetensors(header, array.tobytes())) as checkpoint:
        tensor = checkpoint.tensors["w"]
        assert (tensor.count_nonfinite(), tensor.is_finite()) == (2, False)


@pytest.mark.parametrize(
    ("bits", "expected"), [(0x7F80, 1), (0xFF80, 1), (0x7FC0, 1), (0x7F7F, 0), (0x0000, 0)]
)
def test_bfloat16_is_finite_but_for_one_exponent(bits: int, expected: int, opened: Opened) -> None:
    header = {"w": entry(0, 2, "BF16", (1,))}
    with opened(safetensors(header, bits.to_bytes(2, "little"))) as checkpoint:
        assert checkpoint.tensors["w"].count_nonfinite() == expected


def test_float64_is_exact_for_every_float(opened: Opened) -> None:
    upper = np.array([0x3F81, 0x0001, 0xC2FE], "<u2")
    with opened(safetensors({"w": entry(0, 6, "BF16", (3,))}, upper.tobytes())) as checkpoint:
        loaded = checkpoint.tensors["w"].load_float64()
    assert loaded.dtype == np.float64
    assert loaded.tolist() == [1.0078125, 2.0**-133, -127.0]


LARGE = np.zeros(2**20)


def deflated() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, w=np.random.default_rng(0).integers(0, 2**24, 2**20).astype(np.float64))
    return stream.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "safetensors": lambda: safetensors({"w": entry(0, LARGE.nbytes, shape=LARGE.shape)}, LARGE.tobytes()),
    "npz": lambda: zipped({"w.npy": npy(LARGE)}),
    "npz, deflated": deflated,
    "torch": lambda: torch_file(
        {"w": window((2**20,), (1,), where=storage(count=2**20, kind="DoubleStorage"))},
        {"0": LARGE.tobytes()},
    ),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_hashing_and_checking_hold_a_few_pieces_of_a_large_file(
    make: Callable[[], bytes], opened: Opened
) -> None:
    with opened(make()) as checkpoint:
        tensor = checkpoint.tensors["w"]
        assert tensor.nbytes == 8 * MEGABYTE
        assert peak(tensor.sha256) < 6.5 * MEGABYTE
        assert peak(tensor.is_finite) < 6.5 * MEGABYTE
        assert peak(tensor.load) < 15 * MEGABYTE


def test_opening_reads_no_tensor(opened: Opened) -> None:
    data = FILES["torch"]()
    assert peak(lambda: opened(data).close()) < MEGABYTE


def test_a_tensor_of_a_closed_file_is_gone(opened: Opened) -> None:
    with opened(npy(np.ones(3))) as checkpoint:
        tensor: Tensor = checkpoint.tensors["array"]
    with pytest.raises(ValueError, match="closed file"):
        tensor.load()
