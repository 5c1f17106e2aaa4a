"""Binary parts: what is read is read exactly, and everything hostile is refused before it costs memory or time."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save as save_safetensors

from gradhorizon_service.formats.errors import TensorFault
from gradhorizon_service.formats.npy import read_npy
from gradhorizon_service.formats.npz import MAX_MEMBERS, read_npz
from gradhorizon_service.formats.safetensors import DTYPES, MAX_HEADER, MAX_TENSORS, read_safetensors
from gradhorizon_service.formats.tensors import READERS, read_tensors

MEGABYTE = 2**20

NUMBERS = hnp.arrays(
    dtype=st.sampled_from(["<f2", "<f4", ">f8", "<f8", "|i1", "<i4", ">u2", "<u8", "<c8", "<c16"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy_header(text: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    header = text.encode("latin-1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + content


def described(descr: Any = "<f8", shape: Any = (1,), order: Any = False, content: bytes = b"\0" * 8) -> bytes:
    return npy_header(repr({"descr": descr, "fortran_order": order, "shape": shape}), content)


def safetensors(header: Any, block: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + block


def entry(begin: int = 0, end: int = 8, dtype: str = "F64", shape: Any = (1,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@given(NUMBERS)
def test_an_npy_is_read_as_numpy_wrote_it(array: np.ndarray[Any, Any]) -> None:
    read = read_npy(npy(array))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_fortran_order_keeps_its_entries() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read_npy(npy(array)), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_as_numpy_wrote_it(save: Any) -> None:
    arrays = {
        "w": np.random.default_rng(0).standard_normal((30, 20)),
        "b": np.arange(5),
        "deep/er": np.float32(2),
    }
    stream = io.BytesIO()
    save(stream, **arrays)
    read = read_npz(stream.getvalue(), MEGABYTE)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_a_safetensors_is_read_as_the_library_wrote_it() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(0, 100, (2, 3)).astype(code) for name, code in DTYPES.items() if name != "BF16"
    }
    read = read_safetensors(save_safetensors(arrays, metadata={"format": "pt"}))
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_bfloat16_is_the_upper_half_of_a_float32() -> None:
    numbers = np.array([1.0, -2.5, 3.0e38, np.inf], dtype=np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    read = read_safetensors(safetensors({"w": entry(0, 8, "BF16", (4,))}, halves))["w"]
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, numbers, rtol=2**-7)


PICKLE = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)

REFUSED_NPY = {
    "empty": b"",
    "magic only": b"\x93NUMPY",
    "not npy": b"PK\x03\x04",
    "pickled objects": PICKLE,
    "raw pickle": b"\x80\x04N.",
    "booleans": npy(np.array([True])),
    "text": npy(np.array(["a"])),
    "dates": npy(np.array(["2026-01-01"], dtype="datetime64[D]")),
    "structured": npy(np.zeros(1, dtype=[("x", "<f8")])),
    "long double": npy(np.zeros(1, dtype=np.longdouble)),
    "void of size 0 repeated 1e15 times": described("|V0", (10**15,), content=b""),
    "version 3": npy_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8, b"\x03\x00"
    ),
    "cut off": npy(np.zeros(10))[:-1],
    "too long": npy(np.zeros(10)) + b"\0",
    "huge shape": described(shape=(2**62, 4), content=b""),
    "negative shape": described(shape=(-1, -1)),
    "shape of booleans": described(shape=(True,)),
    "shape as a list": described(shape=[1]),
    "nine axes": described(shape=(1,) * 9),
    "code in the header": npy_header("__import__('os').system('true')"),
    "a call in the header": npy_header("dict(descr='<f8', fortran_order=False, shape=(1,))", b"\0" * 8),
    "nested header": npy_header("(" * 3000),
    "a backslash": npy_header("{'descr': '\\d', 'fortran_order': False, 'shape': (1,)}"),
    "not ascii": npy_header("{'descr': 'é'}"),
    "another key": npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", b"\0" * 8),
    "order as a number": described(order=1),
    "a long header": npy_header(" " * 60_000),
    "a header longer than the file": npy(np.zeros(2))[:40],
}


@pytest.mark.parametrize("data", REFUSED_NPY.values(), ids=REFUSED_NPY)
def test_an_npy_that_is_no_array_of_numbers_is_refused(data: bytes) -> None:
    with pytest.raises(TensorFault):
        read_npy(data)


def bomb(size: int) -> bytes:
    return zipped({"w.npy": npy(np.zeros(size))}, zipfile.ZIP_DEFLATED)


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    at = offset % len(data)
    return data[:at] + value + data[at + len(value) :]


REFUSED_NPZ = {
    "empty": b"",
    "not a zip": npy(np.zeros(2)),
    "cut off": npz(w=np.zeros(9))[:-1],
    "a comment": zipped({"w.npy": npy(np.zeros(2))}, comment=b"x"),
    "a member that is no npy": zipped({"w.txt": b"hello"}),
    "a pickle": zipped({"w.pkl": b"\x80\x04N."}),
    "pickled objects": zipped({"w.npy": PICKLE}),
    "a folder up": zipped({"../w.txt": b"hello"}),
    "lzma": zipped({"w.npy": npy(np.zeros(2))}, zipfile.ZIP_LZMA),
    "a bomb": bomb(100_000),
    "more bytes than allowed": npz(w=np.zeros(200_000)),
    "too many members": zipped({f"{i}.npy": b"" for i in range(MAX_MEMBERS + 1)}),
    "a directory that lies about its size": patched(npz(w=np.zeros(2)), -10, b"\xff\xff\x0f\x00"),
    "a broken checksum": patched(npz(w=np.zeros(64)), 200, b"\x01"),
    "zip64": patched(npz(w=np.zeros(64)), -42, b"PK\x06\x07"),
}


@pytest.mark.parametrize("data", REFUSED_NPZ.values(), ids=REFUSED_NPZ)
def test_an_npz_that_is_damaged_or_hostile_is_refused(data: bytes) -> None:
    with pytest.raises(TensorFault):
        read_npz(data, MEGABYTE)


def test_two_members_of_one_name_are_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("w.npy", npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("w.npy", npy(np.ones(1)))
    with pytest.raises(TensorFault, match="same name"):
        read_npz(stream.getvalue(), MEGABYTE)


def test_a_bomb_is_refused_before_it_is_decompressed() -> None:
    data = bomb(4 * MEGABYTE)
    tracemalloc.start()
    try:
        with pytest.raises(TensorFault, match="100 times"):
            read_npz(data, 2**30)
        assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    finally:
        tracemalloc.stop()


TWO_KEYS = b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}"

REFUSED_SAFETENSORS = {
    "empty": b"",
    "cut length": b"\x10\0\0",
    "header past the end": struct.pack("<Q", 100) + b"{}",
    "header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "header of 1 MB and more": safetensors(b" " * (MAX_HEADER + 1) + b"{}"),
    "no JSON": safetensors(b"{w}"),
    "no object": safetensors([1]),
    "a key twice": safetensors(TWO_KEYS, b"\0" * 8),
    "too many tensors": safetensors({str(i): 0 for i in range(MAX_TENSORS + 1)}),
    "a tensor that is no object": safetensors({"w": 1}),
    "a missing field": safetensors({"w": {"dtype": "F64", "shape": [1]}}, b"\0" * 8),
    "another field": safetensors({"w": {**entry(), "x": 1}}, b"\0" * 8),
    "booleans": safetensors({"w": entry(0, 1, "BOOL")}, b"\0"),
    "8-bit floats": safetensors({"w": entry(0, 1, "F8_E4M3")}, b"\0"),
    "a dtype that is no text": safetensors({"w": {**entry(), "dtype": [1]}}, b"\0" * 8),
    "a negative length": safetensors({"w": entry(shape=(-1,))}, b"\0" * 8),
    "a fractional length": safetensors({"w": entry(shape=(1.0,))}, b"\0" * 8),
    "nine axes": safetensors({"w": entry(shape=(1,) * 9)}, b"\0" * 8),
    "a shape that overflows": safetensors({"w": entry(shape=(2**62, 2**62))}, b"\0" * 8),
    "offsets that do not fit the shape": safetensors({"w": entry(0, 16)}, b"\0" * 16),
    "offsets that are reversed": safetensors({"w": entry(8, 0)}, b"\0" * 8),
    "three offsets": safetensors({"w": {**entry(), "data_offsets": [0, 8, 8]}}, b"\0" * 8),
    "an overlap": safetensors({"a": entry(0, 8), "b": entry(0, 8)}, b"\0" * 8),
    "a hole": safetensors({"a": entry(0, 8), "b": entry(16, 24)}, b"\0" * 24),
    "past the end": safetensors({"w": entry()}, b"\0" * 7),
    "trailing bytes": safetensors({"w": entry()}, b"\0" * 9),
}


@pytest.mark.parametrize("data", REFUSED_SAFETENSORS.values(), ids=REFUSED_SAFETENSORS)
def test_a_safetensors_that_is_damaged_or_hostile_is_refused(data: bytes) -> None:
    with pytest.raises(TensorFault):
        read_safetensors(data)


def test_as_many_tensors_are_read_as_the_limit_says() -> None:
    header = {str(index): entry(8 * index, 8 * index + 8, shape=(1, 1)) for index in range(MAX_TENSORS)}
    assert len(read_safetensors(safetensors(header, bytes(8 * MAX_TENSORS)))) == MAX_TENSORS


def test_an_unread_dtype_is_named_by_its_tensor() -> None:
    with pytest.raises(TensorFault, match=r"'layer\.w'.*BF16"):
        read_safetensors(safetensors({"layer.w": entry(0, 1, "F8_E5M2")}, b"\0"))


SEEDS = {
    "w.npy": npy(np.arange(6.0).reshape(2, 3)),
    "w.npz": npz(a=np.arange(3.0), b=np.arange(4)),
    "w.safetensors": safetensors({"a": entry(0, 16, shape=(2,)), "b": entry(16, 18, "F16")}, b"\0" * 18),
}


@given(st.sampled_from(sorted(SEEDS)), st.data())
def test_mutated_files_are_read_or_refused_and_nothing_else(name: str, data: st.DataObject) -> None:
    content = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TensorFault):
        read_tensors(name, bytes(content), MEGABYTE)


def test_the_ending_of_the_file_name_decides() -> None:
    array = read_tensors("Weights.NPY", npy(np.arange(3.0)), MEGABYTE)
    np.testing.assert_array_equal(array, np.arange(3.0))


@pytest.mark.parametrize("name", ["w", "w.pt", "w.pkl", "w.npy.gz", "w.bin", ""])
def test_other_endings_are_refused_with_the_ones_that_are_read(name: str) -> None:
    with pytest.raises(TensorFault, match=", ".join(READERS)):
        read_tensors(name, npy(np.zeros(1)), MEGABYTE)
