"""What a request looks like on the wire."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from gradhorizon import InvalidRequest
from gradhorizon._transport import INLINE_ELEMENTS, MOST_PARTS, build_body
from gradhorizon.schemas.networks import RnnNetwork
from gradhorizon.schemas.sources import MatrixSource, SpectrumSource

LARGE = INLINE_ELEMENTS + 1


def document_of(request: Any) -> Any:
    return json.loads(build_body(request).document)


def npy_of(array: np.ndarray) -> np.ndarray:
    """The array as the service would read it from the part it travels in."""
    (name, (file_name, content, _)) = build_body({"values": array}).files()[1]
    assert file_name == f"{name}.npy"
    return np.load(io.BytesIO(content), allow_pickle=False)


class Tensor:
    """Stands for a tensor of another framework: on a device, and remembering how it was computed."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.detached = False

    def detach(self) -> Tensor:
        self.detached = True
        return self

    def cpu(self) -> Tensor:
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if not self.detached:
            raise RuntimeError("call detach first")
        return self.array


class HalfTensor(Tensor):
    """A tensor of a type NumPy has no name for."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("unsupported ScalarType BFloat16")

    def double(self) -> np.ndarray:
        return self.array.astype(np.float64)


def test_what_is_not_finite_travels_in_a_part_where_it_may() -> None:
    body = build_body({"norms": [1.0, float("nan")], "gradients": {"layers": np.ones((2, 2)), "w": np.inf}})
    assert json.loads(body.document) == {
        "norms": {"tensor": "array-0"},
        "gradients": {"layers": [[1.0, 1.0], [1.0, 1.0]], "w": {"tensor": "array-1"}},
    }
    assert np.array_equal(body.parts["array-0"], [1.0, np.nan], equal_nan=True)
    with pytest.raises(InvalidRequest, match=r"\$.bias\[0\]"):
        build_body({"bias": np.array([np.nan])})


def test_a_gradient_that_is_no_array_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"\$.gradients.w"):
        build_body({"gradients": {"w": [[1.0], [2.0, 3.0]]}})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.array([[0.5, 1.0], [2.0, 3.0]]), [[0.5, 1.0], [2.0, 3.0]]),
        (np.array([1, 2, 3], dtype=np.uint8), [1, 2, 3]),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array(0.25), 0.25),
        (np.array([0.9 + 0.1j, 0.9 - 0.1j]), [[0.9, 0.1], [0.9, -0.1]]),
        ([0.9 + 0.1j, 2], [[0.9, 0.1], 2]),
        ((np.array([1.0]), [2.0]), [[1.0], [2.0]]),
        (np.array([1.5], dtype=">f8"), [1.5]),
        (np.arange(6.0).reshape(2, 3).T[::2], [[0.0, 3.0], [2.0, 5.0]]),
        (Tensor(np.array([1.0, 2.0])), [1.0, 2.0]),
        (HalfTensor(np.array([1.0, 2.0], dtype=np.float16)), [1.0, 2.0]),
        ("text", "text"),
        (None, None),
    ],
)
def test_small_values_are_plain_json(value: Any, written: Any) -> None:
    assert document_of({"field": value}) == {"field": written}


def test_array_at_the_threshold_stays_in_the_json() -> None:
    assert not build_body({"values": np.zeros(INLINE_ELEMENTS)}).parts


def test_array_over_the_threshold_becomes_a_part() -> None:
    body = build_body({"values": np.zeros(LARGE)})
    assert json.loads(body.document) == {"values": {"tensor": "array-0"}}
    assert list(body.parts) == ["array-0"]


@pytest.mark.parametrize(
    "dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "<i2", ">i8", "|u1", "<c8", ">c16", np.longdouble]
)
def test_part_holds_the_numbers_little_endian_at_most_in_double_precision(dtype: Any) -> None:
    array = np.arange(LARGE).astype(dtype)
    read = npy_of(array)
    assert np.array_equal(read, array)
    assert read.dtype.newbyteorder("=") == read.dtype
    assert read.dtype.itemsize == min(array.dtype.itemsize, 16 if array.dtype.kind == "c" else 8)


def test_part_of_a_strided_view_is_the_view() -> None:
    array = np.arange(4.0 * LARGE).reshape(-1, 2)[::2].T
    assert np.array_equal(npy_of(array), array)
    assert npy_of(array).flags.c_contiguous


def test_equal_arrays_travel_once() -> None:
    array = np.ones((70, 70))
    body = build_body(
        {"a": array, "b": [array.copy()], "c": 2 * array, "d": array.astype(np.float32), "e": array.ravel()}
    )
    assert json.loads(body.document) == {
        "a": {"tensor": "array-0"},
        "b": [{"tensor": "array-0"}],
        "c": {"tensor": "array-1"},
        "d": {"tensor": "array-2"},
        "e": {"tensor": "array-3"},
    }
    assert list(body.parts) == ["array-0", "array-1", "array-2", "array-3"]


def test_every_part_has_a_file_name() -> None:
    """Without one the web framework caps a part at 1 MB, the JSON too."""
    assert [name for _, (name, _, _) in build_body({"values": np.zeros(LARGE)}).files()] == [
        "request.json",
        "array-0.npy",
    ]


def test_many_arrays_travel_in_one_archive() -> None:
    """Services bound the number of parts; a deep feed-forward network has more layers than that."""
    layers = [np.full((65, 65), float(i)) for i in range(MOST_PARTS + 1)]
    body = build_body({"layers": layers})
    assert json.loads(body.document)["layers"][7] == {"tensor": "arrays", "name": "array-7"}
    (_, (name, content, _)) = body.files()[1]
    assert name == "arrays.npz"
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        assert all(np.array_equal(archive[f"array-{i}"], layer) for i, layer in enumerate(layers))


@pytest.mark.parametrize("count", [3, LARGE])
def test_field_that_is_a_list_is_taken_apart(count: int) -> None:
    """`lags` is a list of integers on the wire: no part can stand for it, however long it is."""
    assert document_of({"lags": np.arange(count)}) == {"lags": list(range(count))}


def test_layers_in_one_array_become_one_source_each() -> None:
    body = build_body({"network": {"layers": np.zeros((2, 70, 70))}})
    assert json.loads(body.document) == {
        "network": {"layers": [{"tensor": "array-0"}, {"tensor": "array-0"}]}
    }


def test_models_are_sent_without_what_they_leave_open() -> None:
    network = RnnNetwork(cell="rnn", weights=MatrixSource(values=np.eye(2)), bias=np.array(0.5))
    assert document_of({"network": network}) == {
        "network": {
            "cell": "rnn",
            "activation": "tanh",
            "weights": {"source": "matrix", "values": [[1.0, 0.0], [0.0, 1.0]], "transpose": False},
            "bias": 0.5,
        }
    }


def test_sent_model_reads_back_as_itself() -> None:
    source = SpectrumSource(eigenvalues=np.array([0.5 + 0.5j, 0.5 - 0.5j]), basis="identity")
    read = SpectrumSource.model_validate(document_of(source))
    assert np.array_equal(read.eigenvalues, source.eigenvalues)
    assert read.basis == "identity"


@pytest.mark.parametrize(
    ("request_", "path", "message"),
    [
        ({"a": {"values": np.array([[1.0, np.nan]])}}, "$.a.values[0][1]", "holds a NaN or an infinity"),
        ({"a": np.full(LARGE, np.inf)}, "$.a[0]", "holds a NaN or an infinity"),
        ({"a": np.array(np.nan)}, "$.a", "holds a NaN or an infinity"),
        ({"a": [[0.0, 1.0], [2.0, float("nan")]]}, "$.a[1][1]", "is nan"),
        ({"a": [complex(0, float("inf"))]}, "$.a[0]", "is inf"),
        ({"a": np.float32("-inf")}, "$.a", "is -inf"),
        ({"a": np.array([True])}, "$.a", "has dtype bool"),
        ({"a": np.array(["x"])}, "$.a", "has dtype <U1"),
        ({"a": np.array([None])}, "$.a", "has dtype object"),
        ({"a": object()}, "$.a", "object is not a number, an array, a list or a mapping"),
        ({"a": [{"b": {1, 2}}]}, "$.a[0].b", "set is not"),
        ({"a": {1: 2.0}}, "$.a", "has the key 1"),
    ],
)
def test_what_the_service_would_refuse_is_refused_by_path(request_: Any, path: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build_body(request_)
    (error,) = refused.value.errors
    assert error.path == path
    assert message in error.message
    assert refused.value.code == "invalid_request"
