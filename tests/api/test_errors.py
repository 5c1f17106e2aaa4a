"""Every failure has the same envelope, whoever raised it, and says nothing about the inside."""

from __future__ import annotations

import logging
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from gradhorizon.schemas import ErrorCode
from gradhorizon_service.analysis.errors import CostOverLimit, DiagnosticNotApplicable, LimitExceeded
from gradhorizon_service.api.app import create_app
from gradhorizon_service.api.errors import TABLE
from gradhorizon_service.api.refusals import Overloaded
from gradhorizon_service.processes.errors import PoolClosed, QueueFull, TaskTimeout, WorkerDied, WorkerFailed
from gradhorizon_service.settings import Settings

INSIDE = "/srv/secret/path.py, line 7: psw=hunter2"

RAISED: dict[str, tuple[Exception, int, str]] = {
    "a bug": (KeyError(INSIDE), 500, "internal_error"),
    "a worker process that died": (WorkerDied(INSIDE), 500, "internal_error"),
    "a bug in a worker process": (WorkerFailed(INSIDE), 500, "internal_error"),
    "a full queue": (QueueFull("64 tasks wait already", 3), 503, "overloaded"),
    "too many bytes": (Overloaded("the server holds too much", "max_pending_bytes", 2), 503, "overloaded"),
    "a computation that took too long": (TaskTimeout(180), 504, "computation_timeout"),
    "a server that stops": (PoolClosed(INSIDE), 503, "not_ready"),
    "a limit": (LimitExceeded("$.depth", "max_depth", 10, 11), 422, "limit_exceeded"),
    "a cost": (CostOverLimit(100, 60, "seconds", "sync_seconds", "ask for less"), 422, "cost_over_limit"),
    "a diagnostic": (DiagnosticNotApplicable("modes", "not linear"), 422, "diagnostic_not_applicable"),
    "an error of the framework": (HTTPException(413, "too large"), 413, "body_too_large"),
    "another error of the framework": (HTTPException(418, "a teapot"), 418, "invalid_request"),
}


@pytest.fixture(scope="module")
def raising() -> Any:
    """An application with an address for each of the failures above; its lifespan does not run."""
    app: FastAPI = create_app(Settings(workers=1))
    for number, (error, _, _) in enumerate(RAISED.values()):
        app.add_api_route(f"/raise/{number}", _raiser(error))
    app.add_api_route("/typed/{number}", _typed)
    return TestClient(app)


def _raiser(error: Exception) -> Any:
    async def handler() -> None:
        raise error

    return handler


async def _typed(number: int) -> int:
    return number


@pytest.mark.parametrize("name", RAISED)
def test_an_exception_becomes_its_problem(name: str, raising: Any, check_problem: Any) -> None:
    number = list(RAISED).index(name)
    error, status, code = RAISED[name]
    response = raising.get(f"/raise/{number}")
    problem = check_problem(response, status, code)
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert problem.limit == {
        "overloaded": "queue_length" if isinstance(error, QueueFull) else "max_pending_bytes",
        "computation_timeout": "computation_seconds",
        "limit_exceeded": "max_depth",
        "cost_over_limit": "sync_seconds",
    }.get(code)
    assert ("retry-after" in response.headers) == (status == 503)


def test_an_internal_error_is_logged_under_the_instance_that_is_told(
    raising: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = raising.get("/raise/0")
    assert response.headers["x-request-id"] in caplog.text
    assert "hunter2" in caplog.text


def test_a_bad_parameter_is_not_echoed(raising: Any, check_problem: Any) -> None:
    check_problem(raising.get("/typed/hunter2"), 422, "invalid_request", "$.path.number")
    assert "hunter2" not in raising.get("/typed/hunter2").text


def test_an_unknown_address_is_a_problem(client: Any, check_problem: Any) -> None:
    check_problem(client.get("/v1/nothing"), 404, "not_found")
    check_problem(client.post("/v1/diagnoses/"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", "/v1/diagnoses", "POST"), ("DELETE", "/v1/catalog", "GET")]
)
def test_a_wrong_method_is_told_the_right_one(
    method: str, path: str, allowed: str, client: Any, check_problem: Any
) -> None:
    response = client.request(method, path)
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(TABLE) == set(get_args(ErrorCode))
    assert all(400 <= status < 600 and title for status, title in TABLE.values())


def test_the_request_id_of_the_client_is_kept_where_it_is_plain(client: Any) -> None:
    assert (
        client.get("/healthz", headers={"x-request-id": "run-7.a_b"}).headers["x-request-id"] == "run-7.a_b"
    )
    for odd in ("a b", "x" * 65, "é", "a\tb"):
        assert client.get("/healthz", headers={"x-request-id": odd.encode()}).headers["x-request-id"] != odd


def test_two_requests_have_two_ids(client: Any) -> None:
    assert client.get("/healthz").headers["x-request-id"] != client.get("/healthz").headers["x-request-id"]
