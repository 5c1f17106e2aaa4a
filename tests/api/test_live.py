"""A server on a socket: it stays responsive while it computes, sheds bad clients, and stops cleanly."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from gradhorizon_service.artifacts.limits import ArtifactLimits
from gradhorizon_service.artifacts.store import ArtifactStore

JSON = {"content-type": "application/json"}
LONG = 30.0
SLOW = {"source": {"source": "ensemble", "family": "gaussian", "size": 256, "seed": 0}, "depth": 1000}
"""Some tenths of a second of eigenvalues and powers, which hold Python's lock where they run."""


class Live:
    """A server in a process of its own."""

    def __init__(self, **settings: Any) -> None:
        environment = {f"GRADHORIZON_{name.upper()}": str(value) for name, value in settings.items()}
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gradhorizon_service", "--port", "0"],
            env={**os.environ, **path, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        threading.Thread(target=self._drain, daemon=True).start()
        self.until(lambda: self.get("/readyz")[0] == 200)

    def _drain(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    @staticmethod
    def until(condition: Callable[[], bool], seconds: float = LONG) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)

    def get(self, path: str) -> tuple[int, bytes]:
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def post(self, path: str, body: bytes, headers: dict[str, str] = JSON) -> tuple[int, bytes]:
        with contextlib.closing(self.connection()) as connection:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONG)

    def workers(self) -> set[int]:
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(child) for path in listed for child in path.read_text().split()}

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            self.process.stderr.close()


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    server = Live(workers=1, receive_seconds=1, keep_alive_seconds=1, max_header_bytes=8192)
    yield server
    server.stop()


def latencies(live: Live, working: threading.Thread) -> list[float]:
    """Milliseconds that /healthz took, asked again and again while a thread works."""
    found = []
    with contextlib.closing(live.connection()) as connection:
        while working.is_alive():
            started = time.perf_counter()
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            found.append(1e3 * (time.perf_counter() - started))
            time.sleep(0.002)
    return sorted(found)


def large_json() -> bytes:
    matrix = np.random.default_rng(0).standard_normal((700, 700)).round(6)
    return orjson.dumps({"source": {"source": "matrix", "values": [*matrix.tolist(), [0.0]]}})


def multipart(request: Any, name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    disposition = "\r\n--x\r\ncontent-disposition: form-data; name="
    body = b"".join(
        (
            f'{disposition}"request"\r\n\r\n{json.dumps(request)}'.encode()[2:],
            f'{disposition}"w"; filename="{name}"\r\n\r\n'.encode(),
            content,
            b"\r\n--x--\r\n",
        )
    )
    return body, {"content-type": "multipart/form-data; boundary=x"}


def large_npz() -> tuple[bytes, dict[str, str]]:
    stream = io.BytesIO()
    np.savez(stream, w=np.zeros((2300, 2300)))
    return multipart({"source": {"tensor": "w"}}, "w.npz", stream.getvalue())


WORK: dict[str, Callable[[], tuple[bytes, dict[str, str]]]] = {
    "a computation": lambda: (orjson.dumps(SLOW), JSON),
    "a JSON body of 5 MB": lambda: (large_json(), JSON),
    "a part of 42 MB": large_npz,
}


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_the_event_loop_answers_in_milliseconds_meanwhile(
    work: Callable[[], tuple[bytes, dict[str, str]]], live: Live
) -> None:
    """The bounds leave room for a busy machine; what they exclude is a loop that waits for the work itself."""
    body, headers = work()
    working = threading.Thread(target=live.post, args=("/v1/spectra", body, headers))
    working.start()
    found = latencies(live, working)
    assert len(found) > 10
    assert found[len(found) // 2] < 20
    assert found[int(0.9 * len(found))] < 60


def answer_of(connection: socket.socket) -> bytes:
    """Everything the server sends until it closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def problem_of(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    return int(head.split()[1]), json.loads(body)


def posted(body: bytes) -> bytes:
    head = f"POST /v1/spectra HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


SLOW_CLIENTS = {
    "nothing": (b"", None),
    "half a header": (b"POST /v1/spectra HTTP/1.1\r\nhost: x\r\ncontent-ty", 408),
    "half a body": (
        b"POST /v1/spectra HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        408,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), SLOW_CLIENTS.values(), ids=SLOW_CLIENTS)
def test_a_client_that_does_not_finish_its_request_is_let_go(
    sent: bytes, status: int | None, live: Live
) -> None:
    started = time.monotonic()
    with live.socket() as connection:
        connection.sendall(sent)
        answer = answer_of(connection)
    assert 0.8 < time.monotonic() - started < 5
    if status is None:
        assert answer == b""
    else:
        found, problem = problem_of(answer)
        assert (found, problem["code"]) == (status, "request_timeout")
        assert "receive_seconds = 1" in problem["detail"]


@pytest.mark.slow
def test_a_client_that_trickles_is_let_go(live: Live) -> None:
    """A byte now and then restarts nothing: the clock runs from the first byte of the request."""
    started = time.monotonic()
    with live.socket() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 5:
                connection.sendall(b"x")
                time.sleep(0.05)
    assert time.monotonic() - started < 4


@pytest.mark.slow
def test_a_large_body_over_a_slow_line_may_take_longer(live: Live) -> None:
    body = posted(b" " * 150_000 + orjson.dumps({"source": [[0.5]]}))
    with live.socket() as connection:
        for start in range(0, len(body), 5000):
            connection.sendall(body[start : start + 5000])
            time.sleep(0.06)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.slow
def test_a_client_that_stops_reading_its_answers_is_let_go(live: Live) -> None:
    """A few requests whose answers are more than the system's own buffers hold."""
    path, asked = "/static-offline-docs/swagger-ui-bundle.js", 20
    size = len(live.get(path)[1])
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(LONG)
        connection.connect(("127.0.0.1", live.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * asked)
        time.sleep(2.5)
        assert len(answer_of(connection)) < asked * size


@pytest.mark.slow
def test_a_connection_is_kept_for_the_next_request_longer_than_a_request_may_take(live: Live) -> None:
    """Every request has its own clock, and computing does not count."""
    with contextlib.closing(live.connection()) as connection:
        for _ in range(4):
            connection.request("POST", "/v1/spectra", orjson.dumps(SLOW), JSON)
            response = connection.getresponse()
            assert (response.status, len(response.read()) > 0) == (200, True)
            time.sleep(0.4)


def test_headers_over_the_limit_are_refused(live: Live) -> None:
    for head in (
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"x: a\r\n" * 2000 + b"\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx-never-ends: " + b"a" * 9000,
    ):
        with live.socket() as connection:
            connection.sendall(head)
            status, problem = problem_of(answer_of(connection))
        assert (status, problem["code"]) == (431, "limit_exceeded")
        assert "max_header_bytes = 8192" in problem["detail"]


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"]
)
def test_what_is_not_http_is_refused_as_a_problem(sent: bytes, live: Live) -> None:
    with live.socket() as connection:
        connection.sendall(sent)
        status, problem = problem_of(answer_of(connection))
    assert (status, problem["code"]) == (400, "invalid_request")


def test_a_flood_of_tiny_chunks_is_cut_off(live: Live) -> None:
    head = (
        b"POST /v1/spectra HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with live.socket() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head + b"1\r\n \r\n" * 200_000)
        answer = answer_of(connection)
    assert not answer or problem_of(answer)[0] == 413  # the answer is lost where the client was still writing


def test_the_server_says_nothing_about_itself(live: Live) -> None:
    with contextlib.closing(live.connection()) as connection:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
    assert response.getheader("server") is None
    assert response.getheader("x-content-type-options") == "nosniff"


@pytest.mark.slow
def test_a_client_that_leaves_frees_its_slot(live: Live) -> None:
    body = orjson.dumps({**SLOW, "source": {**SLOW["source"], "size": 1500}})  # type: ignore[dict-item]
    before = live.workers()
    with live.socket() as connection:
        connection.sendall(posted(body))
        time.sleep(0.3)
    live.until(lambda: not before & live.workers(), 1.0)
    live.until(lambda: live.get("/readyz")[0] == 200)
    assert live.post("/v1/spectra", orjson.dumps(SLOW))[0] == 200


@pytest.mark.slow
def test_told_to_stop_the_server_finishes_what_is_in_flight_and_leaves_no_process() -> None:
    server = Live(workers=1)
    try:
        workers = server.workers()
        assert workers
        with ThreadPoolExecutor(1) as pool:
            flying = pool.submit(server.post, "/v1/spectra", orjson.dumps(SLOW))
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            assert flying.result(LONG)[0] == 200
        assert server.process.wait(10) in (0, -signal.SIGTERM)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
        assert not any("Traceback" in line for line in server.log)
    finally:
        server.stop()


class Storing:
    """A server with a folder for artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = Live(
            workers=1,
            artifacts_folder=folder,
            max_artifact_bytes=2**26,
            receive_seconds=1,
            keep_alive_seconds=1,
        )

    def files(self) -> list[Path]:
        """What is there now: unlike rglob, os.walk passes over folders that vanish while it looks."""
        return [Path(folder) / name for folder, _, names in os.walk(self.folder) for name in names]

    def received(self) -> int:
        """Bytes on disk; files come and go while one looks."""
        total = 0
        for path in self.files():
            if path.name != "content":
                continue
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total


@pytest.fixture(scope="module")
def storing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storing]:
    server = Storing(tmp_path_factory.mktemp("artifacts"))
    yield server
    server.live.stop()


def upload_head(length: int, more: str = "") -> bytes:
    return f"POST /v1/artifacts HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}\r\n".encode()


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.slow
def test_an_upload_that_breaks_off_leaves_nothing(storing: Storing) -> None:
    with storing.live.socket() as connection:
        connection.sendall(upload_head(2**24) + bytes(2**22))
        storing.live.until(lambda: storing.received() > 0)
    storing.live.until(lambda: not storing.files())


@pytest.mark.slow
def test_an_upload_that_stops_is_let_go_and_leaves_nothing(storing: Storing) -> None:
    with storing.live.socket() as connection:
        connection.sendall(upload_head(2**24) + bytes(1000))
        status, problem = problem_of(answer_of(connection))
    assert (status, problem["code"]) == (408, "request_timeout")
    storing.live.until(lambda: not storing.files())


@pytest.mark.slow
def test_a_client_that_leaves_while_its_file_is_read_leaves_nothing(storing: Storing) -> None:
    """60 MB, whose hash takes some tenths of a second: the process that computes it is ended."""
    content = saved(np.zeros(7_500_000))
    before = storing.live.workers()
    with storing.live.socket() as connection:
        connection.sendall(upload_head(len(content)) + content)
        storing.live.until(lambda: storing.received() == len(content))
        time.sleep(0.05)
    storing.live.until(lambda: not storing.files())
    storing.live.until(lambda: not before & storing.live.workers())
    storing.live.until(lambda: storing.live.get("/readyz")[0] == 200)


@pytest.mark.slow
def test_a_client_that_waits_for_leave_is_refused_before_it_sends_a_byte(storing: Storing) -> None:
    with storing.live.socket() as connection:
        connection.sendall(upload_head(2**26 + 1, "expect: 100-continue\r\n"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
def test_a_client_that_waits_for_leave_gets_it(storing: Storing) -> None:
    content = saved(np.eye(3))
    with storing.live.socket() as connection:
        connection.sendall(upload_head(len(content), "expect: 100-continue\r\n"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(content)
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 Created\r\n")


@pytest.mark.slow
def test_the_event_loop_answers_in_milliseconds_while_a_file_comes_and_is_read(storing: Storing) -> None:
    content = saved(np.zeros(7_500_000))
    answers: list[int] = []
    working = threading.Thread(target=lambda: answers.append(storing.live.post("/v1/artifacts", content)[0]))
    working.start()
    found = latencies(storing.live, working)
    assert answers == [201]
    assert len(found) > 10
    assert found[len(found) // 2] < 20
    assert found[int(0.9 * len(found))] < 60


@pytest.mark.slow
def test_after_a_kill_everything_stored_is_there_and_nothing_else(tmp_path: Path) -> None:
    first = Storing(tmp_path)
    try:
        status, stored = first.live.post("/v1/artifacts", saved(np.eye(3)))
        assert status == 201
        kept = sorted(first.files())
        with first.live.socket() as connection:
            connection.sendall(upload_head(2**24) + bytes(2**22))
            first.live.until(lambda: first.received() > 2**20)
            first.live.stop()
    finally:
        first.live.stop()
    assert len(first.files()) > len(kept)
    again = ArtifactStore(tmp_path, ArtifactLimits())
    again.open()
    assert sorted(first.files()) == kept
    assert again.describe(json.loads(stored)["sha256"]) == stored


@pytest.mark.slow
def test_an_overloaded_server_says_so_at_once() -> None:
    server = Live(workers=1, queue_length=1, queue_seconds=20)
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.post("/v1/spectra", orjson.dumps(SLOW)), range(8)))
        statuses = [status for status, _ in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 2
        assert server.post("/v1/spectra", orjson.dumps(SLOW))[0] == 200
    finally:
        server.stop()
