"""Uploading from Python: a path, bytes or a file, a piece at a time, and again from the start after a failure."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import gradhorizon
from gradhorizon import AsyncClient, Client
from gradhorizon._uploads import Upload

W = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
ANSWER = {
    "sha256": "0" * 64,
    "name": None,
    "format": "npy",
    "size": 1,
    "created": "2026-01-01T00:00:00Z",
    "tensors": [],
    "metadata": {},
    "warnings": [],
}


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def file_with(content: bytes, skipped: int = 0) -> io.BytesIO:
    stream = io.BytesIO(content)
    stream.seek(skipped)
    return stream


def test_a_path_is_read_in_pieces_and_names_the_upload(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "model.pt").write_bytes(content)
    upload = Upload.of(tmp_path / "model.pt")
    assert (upload.size, upload.name) == (2**20, "model.pt")
    pieces = list(upload.pieces())
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) == 2**18


def test_an_open_file_is_read_from_where_it_stands_every_time() -> None:
    upload = Upload.of(file_with(b"skipped weights", 8))
    assert upload.size == 7
    assert [b"".join(upload.pieces()) for _ in range(2)] == [b"weights", b"weights"]


def test_a_name_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert Upload.of(str(tmp_path / "a"), "b").name == "b"
    assert Upload.of(b"weights", "b").name == "b"


@pytest.mark.parametrize("source", [None, 3, np.eye(2)])
def test_what_is_no_file_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="a path, bytes or a seekable binary file"):
        Upload.of(source)


def test_a_path_that_is_not_there_is_an_error_of_the_path(client_with: Callable[..., Client]) -> None:
    client = client_with(lambda _: httpx.Response(201, json=ANSWER))
    with pytest.raises(FileNotFoundError):
        client.upload("/nowhere/model.safetensors")


def test_an_upload_says_its_length_and_its_name(client_with: Callable[..., Client]) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(201, json=ANSWER)

    client_with(handle).upload(b"weights", name="my model & more")
    assert seen[0].content == b"weights"
    assert seen[0].headers["content-length"] == "7"
    assert seen[0].headers["content-type"] == "application/octet-stream"
    assert "transfer-encoding" not in seen[0].headers
    assert seen[0].url.params["name"] == "my model & more"


def test_every_attempt_sends_the_whole_file(
    client_with: Callable[..., Client], problem: Callable[..., httpx.Response]
) -> None:
    received: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        received.append(request.read())
        return problem(503, "overloaded") if len(received) < 3 else httpx.Response(201, json=ANSWER)

    client_with(handle).upload(file_with(b"weights"))
    assert received == [b"weights"] * 3


def test_a_removal_is_not_tried_again(
    client_with: Callable[..., Client], problem: Callable[..., httpx.Response]
) -> None:
    """The first may have arrived: the second would then complain that nothing is there."""
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        return problem(503, "overloaded")

    with pytest.raises(gradhorizon.Overloaded):
        client_with(handle).delete_artifact("0" * 64)
    assert seen == ["DELETE"]


@pytest.mark.parametrize("sha256", ["", "..", "../catalog", "A" * 64])
def test_what_is_no_hash_is_not_asked_for(sha256: str, client_with: Callable[..., Client]) -> None:
    client = client_with(lambda _: pytest.fail("a request was sent"))
    with pytest.raises(gradhorizon.InvalidRequest, match="64 hexadecimal digits"):
        client.artifact(sha256)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "artifact_not_found", gradhorizon.NotFound),
        (422, "invalid_artifact", gradhorizon.InvalidRequest),
        (507, "insufficient_storage", gradhorizon.LimitExceeded),
    ],
)
def test_refusals_have_their_classes(
    status: int,
    code: str,
    error: type[Exception],
    client_with: Callable[..., Client],
    problem: Callable[..., httpx.Response],
) -> None:
    with pytest.raises(error):
        client_with(lambda _: problem(status, code)).upload(b"weights")


@pytest.fixture(params=["live", "in process"])
def gh(request: pytest.FixtureRequest) -> Iterator[Client]:
    made = Client(request.getfixturevalue("live_url")) if request.param == "live" else Client.in_process()
    with made as client:
        yield client


def test_a_tensor_uploaded_once_is_the_same_as_the_array(gh: Client, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(npz(W=W, b=np.ones(4)))
    artifact = gh.upload(path)
    assert artifact.name == "model.npz"
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert gh.upload(path.read_bytes()) == artifact == gh.artifact(artifact.sha256)
    assert gh.spectrum(artifact.reference("W")).id == gh.spectrum(W).id
    network = {"cell": "linear", "weights": artifact.reference("W"), "bias": artifact.reference("b")}
    assert gh.diagnose(network=network, depth=3, diagnostics=["gradient_norms"]).outcome.steps_completed == 3
    gh.delete_artifact(artifact.sha256)
    with pytest.raises(gradhorizon.NotFound):
        gh.artifact(artifact.sha256)
    with pytest.raises(gradhorizon.InvalidRequest) as refused:
        gh.spectrum(artifact.reference("W"))
    assert refused.value.errors[0].path == "$.source"


def test_a_file_that_cannot_be_read_is_refused(gh: Client) -> None:
    with pytest.raises(gradhorizon.InvalidRequest, match="no format that is read here") as refused:
        gh.upload(b"weights, weights")
    assert refused.value.code == "invalid_artifact"


def test_the_asynchronous_client_uploads_too(live_url: str, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(npz(W=W))

    async def main() -> None:
        for made in (AsyncClient(live_url), AsyncClient.in_process()):
            async with made as gh:
                artifact = await gh.upload(path)
                assert (await gh.spectrum(artifact.reference())).id == (await gh.spectrum(W)).id
                await gh.delete_artifact(artifact.sha256)

    asyncio.run(main())


def test_an_artifact_has_references_to_its_own_tensors_only() -> None:
    tensor = {"shape": [1], "dtype": "float32", "elements": 1, "role": "parameter", "sha256": None}
    rest = {"finite": None, "unread_reason": "x"}
    artifact = gradhorizon.Artifact.model_validate(
        {**ANSWER, "tensors": [{"name": "W", **tensor, **rest}, {"name": "b", **tensor, **rest}]}
    )
    assert artifact.reference("W") == {"artifact": "0" * 64, "name": "W"}
    for name in ("w", None):
        with pytest.raises(KeyError, match="W, b"):
            artifact.reference(name)


def test_limits_on_artifacts_hold_in_process_too() -> None:
    with Client.in_process(max_artifact_bytes=6) as gh:
        with pytest.raises(gradhorizon.LimitExceeded) as refused:
            gh.upload(b"weights")
        assert refused.value.limit == "max_artifact_bytes"
        limits = {limit.name: limit.value for limit in gh.catalog().limits}
    assert limits["max_artifact_bytes"] == 6


def test_a_closed_client_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Client.in_process() as gh:
        gh.upload(npz(W=W))
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
