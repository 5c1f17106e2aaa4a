"""Bodies that a stock framework accepts, echoes or fails on: each is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from gradhorizon_service.settings import Settings

SOURCE = "/v1/spectra"


def matrix(text: str) -> bytes:
    """A diagnosis whose recurrent matrix is given as JSON text."""
    return (
        f'{{"network":{{"cell":"rnn","weights":{{"source":"matrix","values":{text}}}}},"depth":5}}'
    ).encode()


VALUES = "$.network.weights.values"
REFUSED = {
    "a NaN": (matrix("[[1,NaN],[2,3]]"), 400, "invalid_json", f"{VALUES}[0][1]"),
    "an infinity": (matrix("[[1,2],[-Infinity,3]]"), 400, "invalid_json", f"{VALUES}[1][0]"),
    "1e999": (matrix("[[1e999]]"), 400, "invalid_json", f"{VALUES}[0][0]"),
    "a lone surrogate": (b'{"network":"\\ud800"}', 400, "invalid_json", "$.network"),
    "an integer of 5000 digits": (b'{"depth":' + b"9" * 5000 + b"}", 400, "invalid_json", "$.depth"),
    "bad UTF-8": (b'{"network":"\xff"}', 400, "invalid_json", "$.network"),
    "100000 levels": (b"[" * 100_000, 400, "invalid_json", None),
    "200 levels": (b"[" * 200 + b"]" * 200, 400, "invalid_json", None),
    "a key that stands twice": (b'{"depth":1,"depth":2}', 400, "invalid_json", "$.depth"),
    "nothing": (b"", 400, "invalid_json", "$"),
    "no JSON": (b"network=rnn", 400, "invalid_json", "$"),
    "a list": (b"[]", 422, "invalid_request", "$"),
    "an empty object": (b"{}", 422, "invalid_request", "$.network"),
    "text for a number": (matrix('[["1"]]'), 422, "invalid_request", f"{VALUES}[0][0]"),
    "true for a number": (matrix("[[1,2],[3,true]]"), 422, "invalid_request", f"{VALUES}[1][1]"),
    "a ragged matrix": (matrix("[[1,2],[3]]"), 422, "invalid_request", VALUES),
    "no rows": (matrix("[]"), 422, "invalid_request", VALUES),
    "empty rows": (matrix("[[]]"), 422, "invalid_request", VALUES),
    "a matrix that is not square": (matrix("[[1,2]]"), 422, "invalid_shape", "$.network.weights"),
    "an unknown field": (b'{"netwrok":1}', 422, "invalid_request", "$.netwrok"),
    "more loose values than are read": (
        b'{"network":{"cell":"feedforward","layers":[' + b"{}," * 30_000 + b"{}]}}",
        422,
        "limit_exceeded",
        "$.network.layers",
    ),
}


@pytest.mark.parametrize(("body", "status", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_a_problem_that_names_its_path(
    body: bytes, status: int, code: str, path: str | None, post: Any, check_problem: Any
) -> None:
    check_problem(post(body), status, code, path)


FIELDS = {
    "a wrong bias length": ({"bias": [0.0, 0.0, 0.0]}, "$.network.bias"),
    "an unknown activation": ({"activation": "thanh"}, "$.network.activation"),
    "an unknown cell": ({"cell": "rnm"}, "$.network.cell"),
}


@pytest.mark.parametrize(("fields", "path"), FIELDS.values(), ids=FIELDS)
def test_a_bad_field_is_named(fields: dict[str, Any], path: str, post: Any, check_problem: Any) -> None:
    network = {"cell": "rnn", "weights": [[0.5, 0.0], [0.0, 0.5]], **fields}
    problem = check_problem(post({"network": network, "depth": 5}), 422, post_code(fields), path)
    assert "thanh" not in problem.detail


def post_code(fields: dict[str, Any]) -> str:
    return "invalid_shape" if "bias" in fields else "invalid_request"


def test_a_negative_depth_is_named(post: Any, check_problem: Any) -> None:
    check_problem(
        post({"network": {"cell": "rnn", "weights": [[0.5]]}, "depth": -1}), 422, "invalid_request", "$.depth"
    )


LARGE = np.random.default_rng(0).standard_normal((60, 60))
"""Above what is parsed in the event loop."""


def large(change: Callable[[list[list[Any]]], None]) -> bytes:
    values: list[list[Any]] = LARGE.tolist()
    change(values)
    return matrix(json.dumps(values))


def put(item: Any) -> Callable[[list[list[Any]]], None]:
    def change(values: list[list[Any]]) -> None:
        values[59][58] = item

    return change


LARGE_REFUSED = {
    "a NaN": (put(float("nan")), 400, "invalid_json", f"{VALUES}[59][58]"),
    "true": (put(True), 422, "invalid_request", f"{VALUES}[59][58]"),
    "text": (put("1"), 422, "invalid_request", f"{VALUES}[59][58]"),
    "a row": (put([1.0]), 422, "invalid_request", f"{VALUES}[59]"),
    "a missing entry": (lambda values: values[59].pop(), 422, "invalid_request", VALUES),
    "a missing row": (lambda values: values.pop(), 422, "invalid_shape", "$.network.weights"),
}


@pytest.mark.parametrize(("change", "status", "code", "path"), LARGE_REFUSED.values(), ids=LARGE_REFUSED)
def test_a_bad_body_that_a_worker_process_parses_is_refused_as_a_small_one(
    change: Any, status: int, code: str, path: str, post: Any, check_problem: Any
) -> None:
    check_problem(post(large(change)), status, code, path)


def test_a_large_matrix_in_json_is_the_same_matrix(post: Any) -> None:
    source = {"source": {"source": "matrix", "values": LARGE.tolist()}, "include_matrix": True}
    body = post(source, SOURCE)
    assert body.status_code == 200, body.text
    np.testing.assert_array_equal(body.json()["matrix"], LARGE)


HEADERS = {
    "text": ({"content_type": "text/plain"}, 415, "unsupported_media_type"),
    "a form": ({"content_type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    "no type": ({"content_type": ""}, 415, "unsupported_media_type"),
    "npy": ({"content_type": "application/x-npy"}, 415, "unsupported_media_type"),
    "another charset": ({"content_type": "application/json; charset=latin-1"}, 415, "unsupported_media_type"),
    "gzip": ({"content_encoding": "gzip"}, 415, "unsupported_media_type"),
    "an answer in NumPy's format": ({"accept": "application/x-npy, text/html;q=0.9"}, 406, "not_acceptable"),
    "anything but JSON": ({"accept": "application/json;q=0"}, 406, "not_acceptable"),
}


@pytest.mark.parametrize(("headers", "status", "code"), HEADERS.values(), ids=HEADERS)
def test_headers_that_do_not_fit_are_refused(
    headers: dict[str, str], status: int, code: str, post: Any, check_problem: Any
) -> None:
    response = post(b"{}", **headers)
    check_problem(response, status, code)
    if status == 415:
        assert response.headers["accept"] == "application/json, multipart/form-data"


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/html, application/*;q=0.1", "APPLICATION/JSON"]
)
@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON; charset="UTF-8"'])
def test_headers_that_fit_are_read(accept: str, content_type: str, post: Any, check_problem: Any) -> None:
    check_problem(post(b"{}", accept=accept, content_type=content_type), 422, "invalid_request", "$.network")


def chunked(size: int, piece: int = 2**16) -> Iterator[bytes]:
    while size > 0:
        yield b" " * min(piece, size)
        size -= piece


@pytest.mark.parametrize("body", ["declared", "chunked"])
def test_a_body_over_the_limit_is_refused_with_the_limit(
    body: str, post: Any, check_problem: Any, settings: Settings
) -> None:
    size = settings.max_json_bytes + 1
    response = post(b" " * size if body == "declared" else chunked(size))
    problem = check_problem(
        response, 413, "body_too_large", says=f"max_json_bytes = {settings.max_json_bytes}"
    )
    assert problem.limit == "max_json_bytes"


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(
    post: Any, check_problem: Any
) -> None:
    check_problem(post(b"{}", content_length=str(10**12)), 413, "body_too_large")


def test_a_body_in_many_small_chunks_is_read(post: Any) -> None:
    text = orjson.dumps({"source": [[0.5, 0.0], [0.0, 0.5]]})
    response = post(iter([text[i : i + 1] for i in range(len(text))]), SOURCE)
    assert response.status_code == 200, response.text


SECRET = "correct horse battery staple"
ECHOES: list[bytes] = [
    orjson.dumps({"network": {"cell": SECRET}, "depth": SECRET}),
    orjson.dumps(
        {"network": {"cell": "rnn", "weights": [[SECRET]], "activation": SECRET}, "depth": [SECRET] * 5}
    ),
    f'{{"network":"{SECRET}"'.encode(),
    SECRET.encode(),
]


@pytest.mark.parametrize("body", ECHOES)
def test_no_failure_repeats_what_was_sent(body: bytes, post: Any) -> None:
    response = post(body)
    assert response.status_code in (400, 422)
    assert SECRET not in response.text
