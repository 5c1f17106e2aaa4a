"""Artifacts over HTTP: uploaded once, listed, referred to from any array of a request, removed."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save as save_safetensors

from gradhorizon.schemas import Artifact, Problem
from gradhorizon_service.api import create_app
from gradhorizon_service.settings import Settings

RNG = np.random.default_rng(0)
W = RNG.standard_normal((5, 5)).astype(np.float32) / 5
U = RNG.standard_normal((5, 2))
b = RNG.standard_normal(5).astype(np.float16)
TENSORS = {"rnn.weight_hh_l0": W, "rnn.weight_ih_l0": U, "rnn.bias_hh_l0": b, "steps": np.arange(3)}
MODEL = save_safetensors(TENSORS)
MODEL_SHA256 = hashlib.sha256(MODEL).hexdigest()
MEGABYTE = 2**20

Check = Callable[..., Problem]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    """An application of its own, whose disk can be looked at."""
    settings = Settings(
        workers=1,
        artifacts_folder=folder,
        max_artifact_bytes=2 * MEGABYTE,
        max_artifact_tensors=50,
        artifact_quota_bytes=3 * MEGABYTE,
        max_body_bytes=MEGABYTE,
        max_parts=2,
        max_size=512,
    )
    with TestClient(create_app(settings)) as running:
        wait_until_ready(running)
        yield running


def wait_until_ready(client: TestClient) -> None:
    deadline = time.monotonic() + 30
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def nothing_stored(client: TestClient, folder: Path) -> Iterator[None]:
    """Every test starts with an empty folder, and leaves nothing on its way in."""
    yield
    assert list((folder / "incoming").iterdir()) == []
    for name in stored(folder):
        assert client.delete(f"/v1/artifacts/{name}").status_code == 204


def stored(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("??/*/content")}


def upload(client: TestClient, content: Any, **query: str) -> Any:
    return client.post("/v1/artifacts", content=content, params=query)


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def ref(name: str | None = None, sha256: str = MODEL_SHA256) -> dict[str, Any]:
    return {"artifact": sha256} if name is None else {"artifact": sha256, "name": name}


def test_an_upload_answers_with_where_it_is_and_what_is_in_it(client: TestClient) -> None:
    response = upload(client, MODEL, name="folder/model.safetensors")
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/artifacts/{MODEL_SHA256}"
    artifact = Artifact.model_validate_json(response.content)
    assert (artifact.sha256, artifact.name, artifact.format, artifact.size) == (
        MODEL_SHA256,
        "model.safetensors",
        "safetensors",
        len(MODEL),
    )
    assert abs(artifact.created.timestamp() - time.time()) < 60
    found = {tensor.name: tensor for tensor in artifact.tensors}
    for name, array in TENSORS.items():
        tensor = found[name]
        assert tuple(tensor.shape) == array.shape
        assert tensor.dtype == str(array.dtype)
        assert tensor.elements == array.size
        assert tensor.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
        assert tensor.finite is True


def test_the_same_content_again_is_the_same_answer(client: TestClient, folder: Path) -> None:
    first, again = upload(client, MODEL, name="a"), upload(client, MODEL, name="b")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert stored(folder) == {MODEL_SHA256}


def test_uploads_of_the_same_content_at_once_are_one(client: TestClient, folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: upload(client, MODEL), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.content for answer in answers}) == 1
    assert stored(folder) == {MODEL_SHA256}


def test_an_artifact_is_described_until_it_is_removed(client: TestClient, check_problem: Check) -> None:
    sent = upload(client, MODEL)
    path = sent.headers["location"]
    assert client.get(path).content == sent.content
    removed = client.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    check_problem(client.get(path), 404, "artifact_not_found", says=MODEL_SHA256)
    check_problem(client.delete(path), 404, "artifact_not_found")


def test_what_is_not_finite_is_listed_so(client: TestClient) -> None:
    artifact = upload(client, npz(good=W, bad=np.array([1.0, np.nan]))).json()
    assert {tensor["name"]: tensor["finite"] for tensor in artifact["tensors"]} == {
        "good": True,
        "bad": False,
    }
    assert artifact["warnings"] == ["bad holds a NaN or an infinity"]


UNREADABLE = {
    "nothing": b"",
    "text": b"weights, weights",
    "a pickle": b"\x80\x04\x95" + b"\0" * 20,
    "a cut file": MODEL[:-1],
    "a page": b"<html>sign in first</html>",
    "too many tensors": save_safetensors({str(i): b for i in range(51)}),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason_and_not_kept(
    content: bytes, client: TestClient, folder: Path, check_problem: Check
) -> None:
    problem = check_problem(upload(client, content), 422, "invalid_artifact")
    assert problem.detail.startswith("the file ")
    assert stored(folder) == set()


def test_a_file_over_the_limit_is_refused_by_its_length(
    client: TestClient, folder: Path, check_problem: Check
) -> None:
    problem = check_problem(
        upload(client, bytes(2 * MEGABYTE + 1)), 413, "body_too_large", says="max_artifact_bytes = 2097152"
    )
    assert problem.limit == "max_artifact_bytes"
    assert stored(folder) == set()


def test_a_file_over_the_limit_is_refused_as_it_comes(
    client: TestClient, folder: Path, check_problem: Check
) -> None:
    pieces = (bytes(MEGABYTE) for _ in range(3))
    problem = check_problem(upload(client, pieces), 413, "body_too_large")
    assert problem.limit == "max_artifact_bytes"
    assert stored(folder) == set()


def test_a_file_may_come_without_its_length(client: TestClient) -> None:
    pieces = (MODEL[start : start + 100] for start in range(0, len(MODEL), 100))
    assert upload(client, pieces).json()["sha256"] == MODEL_SHA256


def test_the_quota_is_for_all_together(client: TestClient, check_problem: Check) -> None:
    """Two files of 1.6 MB where there is room for 3.1."""
    first, second = npz(W=np.zeros(200_000)), npz(W=np.ones(200_000))
    path = upload(client, first).headers["location"]
    says = "artifact_quota_bytes = 3145728"
    problem = check_problem(upload(client, second), 507, "insufficient_storage", says=says)
    assert problem.limit == "artifact_quota_bytes"
    pieces = (second[start : start + MEGABYTE] for start in range(0, len(second), MEGABYTE))
    check_problem(upload(client, pieces), 507, "insufficient_storage", says=says)
    assert client.delete(path).status_code == 204
    assert upload(client, second).status_code == 201


def test_a_form_is_refused_with_what_to_send_instead(client: TestClient, check_problem: Check) -> None:
    response = client.post("/v1/artifacts", files={"file": ("m.safetensors", MODEL)})
    check_problem(response, 415, "unsupported_media_type", says="--data-binary")


def test_a_compressed_body_is_refused(client: TestClient, check_problem: Check) -> None:
    response = client.post("/v1/artifacts", content=MODEL, headers={"content-encoding": "gzip"})
    check_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "application/x-www-form-urlencoded", "image/png"]
)
def test_the_bytes_count_and_not_their_type(kind: str, client: TestClient) -> None:
    """`curl --data-binary` calls everything a form."""
    response = client.post("/v1/artifacts", content=MODEL, headers={"content-type": kind})
    assert response.status_code == 201


@pytest.mark.parametrize("name", ["incoming", "..%2F..%2Fetc%2Fpasswd", "a" * 63, "A" * 64, "a" * 65])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_address_that_is_no_hash_is_refused(method: str, name: str, client: TestClient) -> None:
    response = client.request(method, f"/v1/artifacts/{name}")
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"


FIELDS: dict[str, tuple[str, Any]] = {
    "a bare source": ("/v1/spectra", lambda of: {"source": of("rnn.weight_hh_l0")}),
    "values": (
        "/v1/spectra",
        lambda of: {"source": {"source": "matrix", "values": of("rnn.weight_hh_l0")}},
    ),
    "beside the source": (
        "/v1/spectra",
        lambda of: {"source": {"source": "matrix", "transpose": True, **in_place(of("rnn.weight_hh_l0"))}},
    ),
    "every array of a network": (
        "/v1/diagnoses",
        lambda of: {
            "network": {
                "cell": "rnn",
                "weights": of("rnn.weight_hh_l0"),
                "input_weights": of("rnn.weight_ih_l0"),
                "bias": of("rnn.bias_hh_l0"),
            },
            "depth": 4,
            "loss": {"kind": "cotangent", "values": of("rnn.bias_hh_l0")},
            "diagnostics": ["gradient_norms"],
        },
    ),
    "layers": (
        "/v1/diagnoses",
        lambda of: {
            "network": {"cell": "feedforward", "layers": [of("rnn.weight_hh_l0"), W.tolist()]},
            "diagnostics": ["gradient_norms"],
        },
    ),
}


def in_place(array: Any) -> dict[str, Any]:
    return array if isinstance(array, dict) else {"values": array}


@pytest.mark.parametrize(("path", "request_with"), FIELDS.values(), ids=FIELDS)
def test_a_tensor_of_an_artifact_is_the_same_as_its_numbers(
    path: str, request_with: Any, client: TestClient
) -> None:
    """To the last bit, the `id` included: float32 and float16 are exact in double precision."""
    upload(client, MODEL)
    by_reference = client.post(path, json=request_with(ref))
    inline = client.post(path, json=request_with(lambda name: TENSORS[name].astype(float).tolist()))
    reports = [response.json() for response in (by_reference, inline)]
    assert [response.status_code for response in (by_reference, inline)] == [200, 200], by_reference.text
    for report in reports:
        report["provenance"].pop("seconds")
    assert reports[0] == reports[1]


def test_the_only_tensor_of_an_artifact_needs_no_name(client: TestClient) -> None:
    sha256 = upload(client, npz(W=W)).json()["sha256"]
    response = client.post("/v1/spectra", json={"source": ref(None, sha256), "include_matrix": True})
    np.testing.assert_array_equal(response.json()["matrix"], W)


def test_artifacts_and_parts_go_together(client: TestClient) -> None:
    upload(client, MODEL)
    network = {"cell": "rnn", "weights": ref("rnn.weight_hh_l0"), "bias": {"tensor": "b"}}
    stream = io.BytesIO()
    np.save(stream, b)
    text = orjson.dumps({"network": network, "depth": 3, "diagnostics": ["gradient_norms"]})
    files = {"request": (None, text, "application/json"), "b": ("b.npy", stream.getvalue())}
    assert client.post("/v1/diagnoses", files=files).status_code == 200


REFUSED: dict[str, tuple[Any, str]] = {
    "an artifact that is not here": (ref("W", "0" * 64), "not here; upload the file"),
    "a hash that is none": (ref("W", "model.safetensors"), "64 lower-case hexadecimal"),
    "a name that is not there": (ref("rnn.weight_hh_l1"), "near it are 'rnn.weight_hh_l0'"),
    "no name for one of many": (ref(), "of 4 tensors; say which"),
    "two ways at once": ({**ref("b"), "tensor": "b"}, "must be {'tensor': part} or {'artifact': sha256}"),
    "a name that is no text": ({"artifact": MODEL_SHA256, "name": 1}, "must be {'tensor': part} or"),
    "another shape": (ref("rnn.bias_hh_l0"), "1 axes"),
}


@pytest.mark.parametrize(("source", "says"), REFUSED.values(), ids=REFUSED)
def test_a_reference_that_means_nothing_is_refused_by_its_path(
    source: Any, says: str, client: TestClient, check_problem: Check
) -> None:
    upload(client, MODEL)
    response = client.post("/v1/diagnoses", json={"network": {"cell": "rnn", "weights": source}, "depth": 3})
    problem = check_problem(response, 422, "invalid_request", "$.network.weights", says=says)
    assert len(problem.errors) == 1


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([[1.0, np.nan], [0, 1]]), "NaN or an infinity"),
        (np.eye(2, dtype=bool), "has dtype bool"),
        (np.eye(2, dtype=complex), "which is not read here"),
        (np.zeros((0, 0)), "is empty"),
    ],
)
def test_numbers_of_an_artifact_are_checked_as_any(
    array: Any, says: str, client: TestClient, check_problem: Check
) -> None:
    sha256 = upload(client, npz(W=array)).json()["sha256"]
    response = client.post("/v1/spectra", json={"source": ref("W", sha256)})
    problem = check_problem(response, 422, "invalid_request", says=says)
    assert problem.errors[0].path.startswith("$.source")


def test_tensors_over_the_limit_together_are_refused_where_they_stand(
    client: TestClient, check_problem: Check
) -> None:
    sha256 = upload(client, npz(W=np.zeros((400, 400), np.float32))).json()["sha256"]
    response = client.post("/v1/spectra", json={"source": ref("W", sha256)})
    problem = check_problem(response, 422, "limit_exceeded", "$.source", says="max_body_bytes = 1.04858e+06")
    assert problem.limit == "max_body_bytes"


def test_a_reference_outside_the_fields_for_arrays_is_no_array(
    client: TestClient, check_problem: Check
) -> None:
    upload(client, MODEL)
    response = client.post("/v1/spectra", json={"source": W.tolist(), "depth": ref("rnn.bias_hh_l0")})
    check_problem(response, 422, "invalid_request", "$.depth", says="whole number")


def test_the_limits_are_in_the_catalog(client: TestClient) -> None:
    limits = {limit["name"]: limit["value"] for limit in client.get("/v1/catalog").json()["limits"]}
    assert limits["max_artifact_bytes"] == 2 * MEGABYTE
    assert limits["max_artifact_tensors"] == 50
    assert limits["artifact_quota_bytes"] == 3 * MEGABYTE
    assert limits["artifact_retention_seconds"] == 30 * 86_400


def test_the_addresses_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    post = paths["/v1/artifacts"]["post"]
    assert set(post["requestBody"]["content"]) == {"application/octet-stream"}
    assert {"200", "201", "413", "422", "507"} <= set(post["responses"])
    assert {"200", "404"} <= set(paths["/v1/artifacts/{sha256}"]["get"]["responses"])
    assert {"204", "404"} <= set(paths["/v1/artifacts/{sha256}"]["delete"]["responses"])


def test_a_file_that_takes_too_long_to_read_is_refused_with_the_limit(
    tmp_path: Path, check_problem: Check
) -> None:
    settings = Settings(workers=1, artifacts_folder=tmp_path, computation_seconds=1e-4)
    with TestClient(create_app(settings)) as hurried:
        wait_until_ready(hurried)
        problem = check_problem(upload(hurried, MODEL), 422, "invalid_artifact", says="computation_seconds")
        assert problem.limit == "computation_seconds"
        assert stored(tmp_path) == set()


def test_what_is_used_no_longer_goes_by_itself(tmp_path: Path) -> None:
    settings = Settings(workers=1, artifacts_folder=tmp_path, artifact_retention_seconds=1)
    with TestClient(create_app(settings)) as forgetful:
        wait_until_ready(forgetful)
        assert upload(forgetful, MODEL).status_code == 201
        deadline = time.monotonic() + 20
        while stored(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_without_a_folder_a_temporary_one_goes_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TestClient(create_app(Settings(workers=1))):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
