"""Answers to play back, and clients whose transport is a function: for what a server will not produce on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import stamina

from gradhorizon import AsyncClient, Client
from gradhorizon_service.api.server import Server
from gradhorizon_service.settings import Settings

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="session", autouse=True)
def no_proxy() -> Iterator[None]:
    """Nothing here leaves this machine, whatever proxy it uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retries happen as often as the client wants, without sleeping."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
def client_with() -> Iterator[Callable[..., Client]]:
    """Make a client that answers by calling a function."""
    made: list[httpx.Client] = []

    def make(handler: Handler, **options: Any) -> Client:
        made.append(httpx.Client(transport=httpx.MockTransport(handler)))
        return Client("http://service", http_client=made[-1], **options)

    yield make
    for http_client in made:
        http_client.close()


@pytest.fixture
def async_client_with() -> Callable[..., AsyncClient]:
    def make(handler: Handler, **options: Any) -> AsyncClient:
        return AsyncClient(
            "http://service", http_client=httpx.AsyncClient(transport=httpx.MockTransport(handler)), **options
        )

    return make


@pytest.fixture
def problem() -> Callable[..., httpx.Response]:
    """Make a problem document as the service sends it."""

    def make(
        status: int, code: str, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        document = {
            "type": "about:blank",
            "title": "A title",
            "status": status,
            "code": code,
            "detail": "A sentence that says what to change.",
            "errors": [],
            "limit": None,
            "instance": None,
            **fields,
        }
        content_type = {"content-type": "application/problem+json"}
        return httpx.Response(status, json=document, headers={**content_type, **(headers or {})})

    return make


@pytest.fixture
def diagnosis_document() -> dict[str, Any]:
    """A diagnosis as it travels: decades of exact zeros are null."""
    series = [0.0, -0.5, -1.0, None]
    return {
        "id": "sha256:00",
        "verdict": {
            "status": "dead",
            "summary": "Nothing comes back from lag 3 on.",
            "evidence": [
                {
                    "quantity": "largest decade",
                    "value": None,
                    "threshold": -3.0,
                    "says": "no direction is left",
                    "is_upper_bound": False,
                }
            ],
            "directions_vanish": True,
            "given_cotangent": "dead",
            "status_of_completed_steps": None,
        },
        "horizon": {
            "level": 0.001,
            "steps": 3,
            "direction": "decay",
            "decay_steps": 3,
            "growth_steps": None,
            "censored": False,
            "extrapolated_steps": None,
            "levels": [{"level": 0.5, "steps": 1}],
            "decades_per_step": None,
            "decades_per_step_reason": "the gradient is exactly zero at lag 3",
        },
        "outcome": {"kind": "completed", "steps_completed": 3, "advice": None},
        "gradient_norms": {
            "lag": [0, 1, 2, 3],
            "log10_norm": series,
            "log10_q10": series,
            "log10_q90": series,
            "log10_batch_norm": series,
            "parts": None,
            "reliable": True,
            "reliable_reason": None,
        },
        "assumptions": ["a random unit cotangent <v>"],
        "warnings": [],
        "provenance": {
            "engine_version": "0.1.0",
            "seed": 0,
            "seconds": 0.01,
            "algorithms": {},
            "inputs_sha256": "00",
        },
    }


@pytest.fixture(scope="session")
def here() -> Iterator[Client]:
    """A client that computes in this process."""
    with Client.in_process() as client:
        yield client


@pytest.fixture(scope="session")
def live_url() -> Iterator[str]:
    """The address of a real service, on a thread of this process, with one worker process."""
    server = Server(Settings(port=0, workers=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield wait_for(server, thread)
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def wait_for(server: Server, thread: threading.Thread) -> str:
    """Return the address of a server as soon as it is ready; its worker starts in about a second."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and thread.is_alive():
        if server.started:
            address = "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
            with Client(address, retries=0) as client:
                if client.ready():
                    return address
        time.sleep(0.02)
    raise RuntimeError("the service did not start")
