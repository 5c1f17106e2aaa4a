"""Liveness, readiness and the front door."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from gradhorizon_service.api import create_app
from gradhorizon_service.settings import Settings


def test_alive_and_ready(client: Any) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_ask_for_the_head_only(path: str, client: Any) -> None:
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")


def test_not_ready_before_the_worker_processes_are_warm(check_problem: Any) -> None:
    with TestClient(create_app(Settings(workers=1))) as starting:
        response = starting.get("/readyz")
        check_problem(response, 503, "not_ready", says="starting")
        assert response.headers["retry-after"] == "1"
        assert starting.get("/healthz").status_code == 200


def test_not_ready_once_told_to_stop(client: Any, check_problem: Any) -> None:
    service = client.app.state.service
    service.draining = True
    try:
        check_problem(client.get("/readyz"), 503, "not_ready", says="stopping")
        assert client.get("/healthz").status_code == 200
    finally:
        service.draining = False


def test_an_application_can_be_started_again(check_problem: Any) -> None:
    app = create_app(Settings(workers=1))
    for _ in range(2):
        with TestClient(app) as running:
            assert running.get("/healthz").status_code == 200


def test_the_front_door_leads_to_the_reference(client: Any) -> None:
    response = client.get("/")
    assert response.url.path == "/docs"
    assert response.status_code == 200
