"""What is said about a file: each tensor's hash and finiteness, and what the file says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gradhorizon_service.artifacts.inspection import inspect, load
from gradhorizon_service.checkpoints import CheckpointFault

BOUNDS = (2**20, 100, 2**20)
W = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "content"


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {tensor["name"]: tensor for tensor in found["tensors"]}


def test_a_tensor_is_described_by_its_numbers(path: Path) -> None:
    save_file({"W": W}, path)
    found = inspect(str(path), *BOUNDS)
    assert found["format"] == "safetensors"
    assert found["warnings"] == []
    assert by_name(found)["W"] == {
        "name": "W",
        "shape": [3, 4],
        "dtype": "float32",
        "elements": 12,
        "role": "parameter",
        "sha256": hashlib.sha256(W.astype("<f4").tobytes()).hexdigest(),
        "finite": True,
        "unread_reason": None,
    }


def test_the_hash_is_of_the_numbers_whatever_their_order_in_the_file(path: Path) -> None:
    hashes = []
    for array in (W, np.asfortranarray(W), W.astype(">f4")):
        with path.open("wb") as stream:
            np.savez_compressed(stream, W=array)
        hashes.append(by_name(inspect(str(path), *BOUNDS))["W"]["sha256"])
    assert len(set(hashes)) == 1


def test_tensors_that_are_not_finite_are_named(path: Path) -> None:
    bad = {f"bad{i}": np.array([0.0, np.nan if i % 2 else np.inf]) for i in range(7)}
    save_file({"good": W, **bad}, path)
    found = inspect(str(path), *BOUNDS)
    assert {name: tensor["finite"] for name, tensor in by_name(found).items()} == {
        "good": True,
        **dict.fromkeys(bad, False),
    }
    assert found["warnings"] == [
        "bad0, bad1, bad2, bad3, bad4 and 2 more hold a NaN or an infinity",
    ]


def test_a_number_format_that_is_not_read_is_listed_with_the_reason(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, z=W.astype(np.complex64), W=W)
    found = inspect(str(path), *BOUNDS)
    tensor = by_name(found)["z"]
    assert (tensor["dtype"], tensor["sha256"], tensor["finite"]) == ("complex64", None, None)
    assert "complex64" in tensor["unread_reason"]
    assert found["warnings"] == ["z holds a number format that is listed and not read"]


def test_metadata_are_short_texts_by_dotted_names(path: Path) -> None:
    save_file({"W": W}, path, {"format": "pt", "note": "n" * 1000})
    metadata = inspect(str(path), *BOUNDS)["metadata"]
    assert metadata == {"metadata.format": "pt", "metadata.note": "n" * 200}


def test_many_metadata_are_cut_and_that_is_said(path: Path) -> None:
    save_file({"W": W}, path, {f"key{i}": str(i) for i in range(101)})
    found = inspect(str(path), *BOUNDS)
    assert len(found["metadata"]) == 100
    assert found["warnings"] == ["the file's metadata are cut after 100 entries"]


def test_tensors_are_loaded_in_their_own_number_format(path: Path) -> None:
    save_file({"W": W, "n": np.arange(3), "other": W}, path)
    loaded = load(str(path), ["W", "n"], *BOUNDS)
    assert set(loaded) == {"W", "n"}
    np.testing.assert_array_equal(loaded["W"], W)
    assert [array.dtype for array in loaded.values()] == [np.float32, np.int64]


@pytest.mark.parametrize(("bounds", "says"), [((100, 100, 2**20), "100"), ((2**20, 1, 2**20), "1")])
def test_a_file_beyond_the_bounds_is_refused_with_the_bound(
    bounds: tuple[int, int, int], says: str, path: Path
) -> None:
    save_file({"W": W, "b": W}, path)
    with pytest.raises(CheckpointFault, match=rf"\b{says}\b"):
        inspect(str(path), *bounds)
