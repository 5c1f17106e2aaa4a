"""Binary parts: arrays arrive exactly, and a part that is not what it says is refused by its name."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import orjson
import pytest
from safetensors.numpy import save as save_safetensors

MATRIX = np.random.default_rng(0).standard_normal((5, 5))
BARE = {"source": {"tensor": "w"}, "include_matrix": True}
NAMED = {"source": {"tensor": "w", "name": "layer"}, "include_matrix": True}


def saved(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def archive(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


READ = {
    "npy": (BARE, "w.npy", saved(MATRIX)),
    "npy in Fortran order": (BARE, "w.npy", saved(np.asfortranarray(MATRIX))),
    "npy, big endian": (BARE, "w.npy", saved(MATRIX.astype(">f8"))),
    "npz with one array": (BARE, "w.npz", archive(layer=MATRIX)),
    "npz with several": (NAMED, "w.npz", archive(layer=MATRIX, other=MATRIX * 2)),
    "safetensors": (NAMED, "model.safetensors", save_safetensors({"layer": MATRIX, "other": MATRIX * 2})),
}


@pytest.mark.parametrize(("request_part", "file_name", "content"), READ.values(), ids=READ)
def test_a_matrix_arrives_as_it_was_sent(
    request_part: dict[str, Any], file_name: str, content: bytes, post_parts: Any
) -> None:
    response = post_parts(request_part, {"w": (file_name, content)})
    assert response.status_code == 200, response.text
    np.testing.assert_array_equal(response.json()["matrix"], MATRIX)


def test_a_large_part_arrives_as_it_was_sent(post_parts: Any) -> None:
    matrix = np.random.default_rng(1).standard_normal((128, 128))
    response = post_parts(BARE, {"w": ("w.npy", saved(matrix))})
    assert response.status_code == 200, response.text
    np.testing.assert_array_equal(response.json()["matrix"], matrix)


def test_json_and_parts_give_the_same_report(post: Any, post_parts: Any) -> None:
    from_json = post({"source": MATRIX.tolist(), "include_matrix": True}, "/v1/spectra").json()
    from_part = post_parts(BARE, {"w": ("w.npy", saved(MATRIX))}).json()
    for report in (from_json, from_part):
        report["provenance"].pop("seconds")
    assert from_json == from_part


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("w.npy", saved(np.zeros((1000, 1000))))
    return stream.getvalue()


INVALID = {
    "a pickle in an npy": ("w.npy", saved(np.array([{}], dtype=object), allow_pickle=True)),
    "a pickle": ("w.pkl", pickle.dumps(MATRIX)),
    "a checkpoint of torch": ("w.pt", b"PK\x03\x04"),
    "another ending": ("w.bin", saved(MATRIX)),
    "no ending": ("w", saved(MATRIX)),
    "an ending that lies": ("w.npz", saved(MATRIX)),
    "a cut npy": ("w.npy", saved(MATRIX)[:-8]),
    "a structured npy": ("w.npy", saved(np.zeros(2, dtype=[("x", "<f8")]))),
    "a void of 10^15 entries": (
        "w.npy",
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000000,)}",
    ),
    "a bomb": ("w.npz", bomb()),
    "a cut safetensors": ("w.safetensors", save_safetensors({"layer": MATRIX})[:-1]),
    "nothing": ("w.npy", b""),
}


@pytest.mark.parametrize(("file_name", "content"), INVALID.values(), ids=INVALID)
def test_a_part_that_is_no_array_is_refused_by_name(
    file_name: str, content: bytes, post_parts: Any, check_problem: Any
) -> None:
    check_problem(post_parts(BARE, {"w": (file_name, content)}), 422, "invalid_tensor", "$.parts.w")


WRONG_VALUES = {
    "a complex matrix": (MATRIX.astype(complex), "invalid_request"),
    "a vector": (MATRIX[0], "invalid_request"),
    "no entries": (np.zeros((0, 0)), "invalid_request"),
    "a NaN": (np.array([[1.0, np.nan], [0.0, 1.0]]), "invalid_request"),
    "not square": (MATRIX[:2], "invalid_shape"),
    "over the limit": (np.zeros((300, 300)), "limit_exceeded"),
}


@pytest.mark.parametrize(("array", "code"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_an_array_that_does_not_fit_its_field_is_refused_by_the_field(
    array: Any, code: str, post_parts: Any, check_problem: Any
) -> None:
    problem = check_problem(post_parts(BARE, {"w": ("w.npy", saved(array))}), 422, code)
    assert problem.errors[0].path.startswith("$.source")


def test_a_part_that_nothing_refers_to_is_refused(post_parts: Any, check_problem: Any) -> None:
    files = {"w": ("w.npy", saved(MATRIX)), "b": ("b.npy", saved(MATRIX))}
    check_problem(post_parts(BARE, files), 422, "unused_part", "$.parts.b")


def test_a_reference_to_no_part_is_refused(post_parts: Any, check_problem: Any) -> None:
    check_problem(post_parts(BARE, {}), 422, "invalid_request", "$.source", says="no part named 'w'")


def test_a_name_that_an_archive_does_not_hold_is_refused(post_parts: Any, check_problem: Any) -> None:
    response = post_parts(NAMED, {"w": ("w.npz", archive(other=MATRIX))})
    check_problem(response, 422, "invalid_request", "$.source", says="'layer'")


def test_a_part_without_a_file_name_is_refused_with_the_reason(client: Any, check_problem: Any) -> None:
    response = client.post(
        "/v1/spectra", files={"request": (None, orjson.dumps(BARE)), "w": (None, saved(MATRIX))}
    )
    check_problem(response, 422, "invalid_tensor", "$.parts.w", says="capped at 1 MB")


def test_a_part_over_1_mb_without_a_file_name_is_refused_with_the_reason(
    client: Any, check_problem: Any
) -> None:
    files = {"request": (None, orjson.dumps(BARE)), "w": (None, bytes(2**20 + 1))}
    check_problem(client.post("/v1/spectra", files=files), 422, "invalid_tensor", says="capped at 1 MB")


def test_two_parts_of_one_name_are_refused(client: Any, check_problem: Any) -> None:
    part = ("w", ("w.npy", saved(MATRIX)))
    response = client.post("/v1/spectra", files=[("request", (None, orjson.dumps(BARE))), part, part])
    check_problem(response, 422, "invalid_tensor", "$.parts.w", says="twice")


def test_parts_without_the_request_are_refused(client: Any, check_problem: Any) -> None:
    response = client.post("/v1/spectra", files={"w": ("w.npy", saved(MATRIX))})
    check_problem(response, 422, "invalid_request", "$", says="'request'")


def test_the_request_may_have_a_file_name_too(client: Any) -> None:
    files = {"request": ("request.json", orjson.dumps(BARE)), "w": ("w.npy", saved(MATRIX))}
    assert client.post("/v1/spectra", files=files).status_code == 200


def test_the_json_of_a_multipart_request_is_as_strict(post_parts: Any, check_problem: Any) -> None:
    response = post_parts(b'{"source":{"tensor":"w"},"depth":NaN}', {"w": ("w.npy", saved(MATRIX))})
    check_problem(response, 400, "invalid_json", "$.depth")


def test_more_parts_than_allowed_are_refused_with_the_limit(post_parts: Any, check_problem: Any) -> None:
    files = {f"w{i}": (f"{i}.npy", saved(MATRIX)) for i in range(6)}
    problem = check_problem(post_parts(BARE, files), 422, "invalid_tensor", says="max_parts = 4")
    assert problem.limit == "max_parts"


def test_more_bytes_than_allowed_are_refused_with_the_limit(post_parts: Any, check_problem: Any) -> None:
    response = post_parts(BARE, {"w": ("w.npy", bytes(5 * 2**20))})
    problem = check_problem(response, 413, "body_too_large", says="max_body_bytes = 4194304")
    assert problem.limit == "max_body_bytes"


def test_arrays_that_decompress_to_more_than_allowed_together_are_refused(
    post_parts: Any, check_problem: Any
) -> None:
    numbers = np.random.default_rng(0).integers(0, 4, (500, 500)).astype(float)
    files = {name: (f"{name}.npz", archive(layer=numbers)) for name in ("a", "b", "w")}
    check_problem(post_parts(BARE, files), 422, "invalid_tensor", "$.parts.w", says="are read")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_multipart_request_without_a_boundary_is_refused(
    content_type: str, post: Any, check_problem: Any
) -> None:
    check_problem(post(b"--x--", "/v1/spectra", content_type=content_type), 422, "invalid_tensor")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b"nothing of the kind",
        b"--x\r\ncontent-disposition: form-data\r\n\r\n1\r\n--x--",
    ],
)
def test_a_broken_envelope_is_refused(body: bytes, post: Any) -> None:
    response = post(body, "/v1/spectra", content_type="multipart/form-data; boundary=x")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
