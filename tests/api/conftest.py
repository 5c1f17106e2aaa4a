"""One application for all API tests, and what every failure must look like."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from gradhorizon.schemas import Problem
from gradhorizon_service.api import create_app
from gradhorizon_service.settings import Settings

JSON = {"content-type": "application/json"}
SETTINGS = Settings(
    workers=1,
    max_body_bytes=4 * 2**20,
    max_json_bytes=2 * 2**20,
    inline_json_bytes=2**14,
    max_parts=4,
    max_size=256,
)


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """The application in process, its one worker process warm."""
    with TestClient(create_app(SETTINGS)) as running:
        deadline = time.monotonic() + 30
        while running.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield running


@pytest.fixture(scope="session")
def settings() -> Settings:
    """What the application of `client` was made with."""
    return SETTINGS


Post = Callable[..., Response]


@pytest.fixture(scope="session")
def post(client: TestClient) -> Post:
    """Post bytes, or an object as JSON."""

    def send(body: Any, path: str = "/v1/diagnoses", **headers: str) -> Response:
        content = body if isinstance(body, bytes) or not isinstance(body, dict) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(path, content=content, headers={**JSON, **named})

    return send


@pytest.fixture(scope="session")
def post_parts(client: TestClient) -> Post:
    """Post a multipart request: the JSON, and files by part name as (file name, content)."""

    def send(request: Any, files: Mapping[str, tuple[str, bytes]], path: str = "/v1/spectra") -> Response:
        text = request if isinstance(request, bytes) else orjson.dumps(request)
        return client.post(path, files={"request": (None, text, "application/json"), **files})

    return send


@pytest.fixture(scope="session")
def check_problem() -> Callable[..., Problem]:
    """Check the envelope of a failure; returns it."""

    def check(response: Response, status: int, code: str, path: str | None = None, says: str = "") -> Problem:
        assert response.headers["content-type"] == "application/problem+json", response.text
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
        problem = Problem.model_validate_json(response.content)
        assert problem.status == status
        assert problem.type == f"urn:gradhorizon:problem:{code}"
        assert problem.title
        assert problem.detail
        assert problem.instance is not None
        assert problem.instance.endswith(response.headers["x-request-id"])
        assert says in response.text
        if path is not None:
            assert path in [error.path for error in problem.errors]
        return problem

    return check
