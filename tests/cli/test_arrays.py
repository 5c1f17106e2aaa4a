"""Files of arrays: what is read, and what is never run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gradhorizon.cli._arrays import CannotRead, open_arrays, read_array


class Trap:
    """Fails the test when a pickle of it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def write_bfloat16(path: Path, name: str, halves: np.ndarray) -> None:
    """Write a safetensors file of the type that NumPy does not have."""
    header = {name: {"dtype": "BF16", "shape": list(halves.shape), "data_offsets": [0, 2 * halves.size]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + halves.astype("<u2").tobytes())


def test_npy_is_one_array_under_the_name_of_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.eye(3))
    arrays = open_arrays(tmp_path / "weights.npy")
    assert arrays.shapes == {"weights": (3, 3)}
    assert np.array_equal(arrays["weights"], np.eye(3))


def test_npz_is_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.eye(2), b=np.arange(2))
    arrays = open_arrays(tmp_path / "a.npz")
    assert arrays.shapes == {"w": (2, 2), "b": (2,)}
    assert np.array_equal(arrays["b"], [0, 1])


def test_safetensors_is_its_tensors(tmp_path: Path) -> None:
    save_file({"w": np.eye(2, dtype=np.float16), "b": np.arange(2)}, tmp_path / "a.safetensors")
    arrays = open_arrays(tmp_path / "a.safetensors")
    assert arrays.shapes == {"w": (2, 2), "b": (2,)}
    assert arrays["w"].dtype == np.float16


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    """The upper half of a float32 is its bfloat16: 1.0, -2.5 and the smallest normal number."""
    numbers = np.array([[1.0, -2.5], [2.0**-126, 0.0]], dtype=np.float32)
    write_bfloat16(tmp_path / "a.safetensors", "w", numbers.view(np.uint32) >> 16)
    assert np.array_equal(open_arrays(tmp_path / "a.safetensors")["w"], numbers)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickles_are_refused_unread(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    else:
        np.savez(path, w=np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(CannotRead, match="allow_pickle"):
        open_arrays(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x93NUMPY", b"PK\x03\x04"])
def test_damaged_file_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotRead, match=name):
        open_arrays(tmp_path / name)


def test_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"none\.npy"):
        open_arrays(tmp_path / "none.npy")


def test_pytorch_pickles_say_what_to_save_instead(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"safetensors\.torch\.save_file"):
        open_arrays(tmp_path / "model.pt")


def test_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.eye(2))
    with pytest.raises(CannotRead, match=r"holds no array 'v'; it holds\n  w  \[2, 2\]"):
        open_arrays(tmp_path / "a.npz")["v"]


def test_one_array_is_needed_where_one_is_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.eye(2), b=np.arange(2))
    with pytest.raises(CannotRead, match="holds 2 arrays where one is needed"):
        read_array(tmp_path / "a.npz")
