"""The synchronous client against answers a server will not give on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

import gradhorizon
from gradhorizon import Client
from gradhorizon._base import LONGEST_WAIT
from gradhorizon.schemas import DiagnosisRequest

NETWORK = {"cell": "linear", "weights": [[0.5]]}
ClientWith = Callable[..., Client]
Problem = Callable[..., httpx.Response]


def playing(
    *answers: httpx.Response | Exception,
) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    """Return a handler that gives these answers in turn, and the list of requests it saw."""
    left, seen = list(answers), []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle, seen


def test_report_holds_arrays_with_minus_infinity_for_exact_zero(
    client_with: ClientWith, diagnosis_document: dict[str, Any]
) -> None:
    client = client_with(lambda _: httpx.Response(200, json=diagnosis_document))
    report = client.diagnose(network=NETWORK, depth=3)
    assert report.gradient_norms is not None
    assert np.array_equal(report.gradient_norms.log10_norm, [0.0, -0.5, -1.0, -np.inf])
    assert report.gradient_norms.lag.dtype == np.int64


def test_report_of_a_newer_service_is_read(
    client_with: ClientWith, diagnosis_document: dict[str, Any]
) -> None:
    client = client_with(lambda _: httpx.Response(200, json={**diagnosis_document, "invented": {"later": 1}}))
    assert client.diagnose(network=NETWORK, depth=3).verdict.status == "dead"


def test_only_what_was_given_is_sent(client_with: ClientWith, diagnosis_document: dict[str, Any]) -> None:
    """What is left out is the service's to fill in: an older service never meets a field it does not know."""
    handle, seen = playing(httpx.Response(200, json=diagnosis_document))
    client_with(handle).diagnose(network=NETWORK, depth=3, seed=0)
    assert json.loads(seen[0].content) == {"network": NETWORK, "depth": 3, "seed": 0}
    assert seen[0].headers["content-type"] == "application/json"
    assert (seen[0].method, seen[0].url) == ("POST", "http://service/v1/diagnoses")


def test_fields_beside_a_request_replace_its_own(
    client_with: ClientWith, diagnosis_document: dict[str, Any]
) -> None:
    handle, seen = playing(httpx.Response(200, json=diagnosis_document))
    client_with(handle).diagnose({"network": NETWORK, "depth": 3, "dtype": "float64"}, dtype="float32")
    assert json.loads(seen[0].content) == {"network": NETWORK, "depth": 3, "dtype": "float32"}


def test_request_model_is_sent_as_it_was_written(
    client_with: ClientWith, diagnosis_document: dict[str, Any]
) -> None:
    handle, seen = playing(httpx.Response(200, json=diagnosis_document))
    client_with(handle).diagnose(DiagnosisRequest(network=NETWORK, depth=3, lags=[0, 3]))
    sent = json.loads(seen[0].content)
    assert set(sent) == {"network", "depth", "lags"}
    assert sent["network"]["weights"]["values"] == [[0.5]]


def test_large_arrays_travel_as_named_files(
    client_with: ClientWith, diagnosis_document: dict[str, Any]
) -> None:
    handle, seen = playing(httpx.Response(200, json=diagnosis_document))
    client_with(handle).diagnose(network={"cell": "linear", "weights": np.eye(100)}, depth=3)
    body = seen[0].content
    assert seen[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="request"; filename="request.json"' in body
    assert b'name="array-0"; filename="array-0.npy"' in body
    assert b'"weights":{"tensor":"array-0"}' in body


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((np.eye(1),), {"source": [[1.0]], "depth": 5}),
        (
            ({"source": "ensemble", "family": "he", "size": 3},),
            {"source": {"source": "ensemble", "family": "he", "size": 3}, "depth": 5},
        ),
        (
            ({"source": {"source": "ensemble", "family": "he", "size": 3}, "seed": 1},),
            {"source": {"source": "ensemble", "family": "he", "size": 3}, "seed": 1, "depth": 5},
        ),
    ],
)
def test_spectrum_takes_an_array_a_source_or_a_request(
    client_with: ClientWith, problem: Problem, given: tuple[Any], sent: dict[str, Any]
) -> None:
    handle, seen = playing(problem(422, "cannot_run"))
    with pytest.raises(gradhorizon.CannotRun):
        client_with(handle).spectrum(*given, depth=5)
    assert json.loads(seen[0].content) == sent


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (422, "invalid_request", gradhorizon.InvalidRequest),
        (400, "invalid_json", gradhorizon.InvalidRequest),
        (422, "diagnostic_not_applicable", gradhorizon.NotApplicable),
        (422, "limit_exceeded", gradhorizon.LimitExceeded),
        (413, "body_too_large", gradhorizon.LimitExceeded),
        (422, "cost_over_limit", gradhorizon.CostOverLimit),
        (404, "not_found", gradhorizon.NotFound),
        (408, "request_timeout", gradhorizon.RequestRefused),
        (422, "invented_later", gradhorizon.RequestRefused),
        (500, "internal_error", gradhorizon.ServerFailed),
        (503, "computation_timeout", gradhorizon.ComputationTimedOut),
        (504, "computation_timeout", gradhorizon.ComputationTimedOut),
    ],
)
def test_problem_becomes_the_class_of_its_code_at_once(
    client_with: ClientWith, problem: Problem, status: int, code: str, cls: type[gradhorizon.GradhorizonError]
) -> None:
    """None of these is tried again: the same request would be answered the same way."""
    handle, seen = playing(problem(status, code))
    with pytest.raises(cls) as raised:
        client_with(handle).diagnose(network=NETWORK, depth=3)
    assert type(raised.value) is cls
    assert len(seen) == 1


def test_refusal_says_everything_the_service_said(client_with: ClientWith, problem: Problem) -> None:
    errors = [{"path": "$.depth", "message": "must be at least 1"}]
    answer = problem(422, "limit_exceeded", errors=errors, limit="max_depth", instance="urn:request:7")
    with pytest.raises(gradhorizon.LimitExceeded) as raised:
        client_with(lambda _: answer).diagnose(network=NETWORK, depth=0)
    refused = raised.value
    assert (refused.status, refused.code, refused.title) == (422, "limit_exceeded", "A title")
    assert (refused.limit, refused.instance) == ("max_depth", "urn:request:7")
    assert refused.detail == "A sentence that says what to change."
    assert [(error.path, error.message) for error in refused.errors] == [("$.depth", "must be at least 1")]


def test_estimate_of_a_refused_cost_is_kept(client_with: ClientWith, problem: Problem) -> None:
    with pytest.raises(gradhorizon.CostOverLimit) as raised:
        client_with(lambda _: problem(422, "cost_over_limit", estimate=120.0)).diagnose(
            network=NETWORK, depth=3
        )
    assert raised.value.estimate == 120.0


@pytest.mark.parametrize(
    "passing",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed without an answer"),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(504, text="<html>gateway timeout</html>"),
        httpx.Response(503, text="no slots"),
        httpx.Response(429, headers={"retry-after": "1"}),
    ],
)
def test_passing_failure_is_tried_again(
    client_with: ClientWith, diagnosis_document: dict[str, Any], passing: httpx.Response | Exception
) -> None:
    handle, seen = playing(passing, passing, httpx.Response(200, json=diagnosis_document))
    report = client_with(handle, retries=2).diagnose(
        network={"cell": "linear", "weights": np.eye(100)}, depth=3
    )
    assert report.verdict.status == "dead"
    assert len(seen) == 3
    assert len({len(request.content) for request in seen}) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_tries_end(client_with: ClientWith, problem: Problem, retries: int) -> None:
    handle, seen = playing(*(problem(503, "not_ready") for _ in range(9)))
    with pytest.raises(gradhorizon.NotReady):
        client_with(handle, retries=retries).diagnose(network=NETWORK, depth=3)
    assert len(seen) == retries + 1


def test_service_that_asks_for_patience_is_reported_instead_of_waited_for(
    client_with: ClientWith, problem: Problem
) -> None:
    handle, seen = playing(problem(503, "overloaded", headers={"retry-after": str(LONGEST_WAIT + 1)}))
    with pytest.raises(gradhorizon.Overloaded) as raised:
        client_with(handle).diagnose(network=NETWORK, depth=3)
    assert raised.value.retry_after == LONGEST_WAIT + 1
    assert len(seen) == 1


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("60 s"), httpx.WriteTimeout("60 s"), httpx.PoolTimeout("60 s")]
)
def test_slow_answer_is_not_asked_for_again(client_with: ClientWith, error: Exception) -> None:
    """The service may be computing still, and the same request takes as long again."""
    handle, seen = playing(error)
    with pytest.raises(gradhorizon.TimedOut, match="did not answer in time"):
        client_with(handle).diagnose(network=NETWORK, depth=3)
    assert len(seen) == 1


def test_nothing_listening_says_how_to_start_it() -> None:
    with (
        Client("http://127.0.0.1:1", retries=0) as client,
        pytest.raises(gradhorizon.ConnectionFailed, match="gradhorizon serve"),
    ):
        client.catalog()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            httpx.Response(200, text="<html>sign in</html>", headers={"content-type": "text/html"}),
            "<html>sign in",
        ),
        (httpx.Response(200, json={"id": "sha256:00"}), "is not a Diagnosis this client"),
        (httpx.Response(200, content=b""), "is not a Diagnosis this client"),
        (httpx.Response(404, text="nothing here"), "is not this service's"),
        (httpx.Response(500, json={"detail": "another framework"}), "is not this service's"),
        (httpx.Response(301, headers={"location": "https://service/"}), "use the final address as base URL"),
        (
            httpx.Response(200, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}),
            "is not a Diagnosis",
        ),
    ],
)
def test_answer_of_another_program_is_not_understood(
    client_with: ClientWith, answer: httpx.Response, says: str
) -> None:
    handle, seen = playing(answer)
    with pytest.raises(gradhorizon.NotUnderstood) as raised:
        client_with(handle).diagnose(network=NETWORK, depth=3)
    assert says in str(raised.value)
    assert raised.value.status == answer.status_code
    assert len(seen) == 1


@pytest.mark.parametrize(
    "answer", [httpx.Response(503, text="no"), httpx.ConnectError("refused"), httpx.Response(404)]
)
def test_service_that_does_not_say_it_is_ready_is_not(
    client_with: ClientWith, answer: httpx.Response | Exception
) -> None:
    handle, seen = playing(answer)
    assert client_with(handle, retries=5).ready() is False
    assert len(seen) == 1


def test_ready_service_is_ready(client_with: ClientWith) -> None:
    assert client_with(lambda _: httpx.Response(200, json={"status": "ready"})).ready() is True


def test_headers_go_with_every_request(client_with: ClientWith) -> None:
    handle, seen = playing(httpx.Response(200, json={}))
    client_with(handle, headers={"Authorization": "Bearer x"}).health()
    assert seen[0].headers["authorization"] == "Bearer x"
    assert seen[0].headers["user-agent"].startswith("gradhorizon-python/")


def test_http_client_brought_along_keeps_its_base_url_and_stays_open() -> None:
    handle, seen = playing(httpx.Response(200, json={}))
    with httpx.Client(transport=httpx.MockTransport(handle), base_url="http://elsewhere/api/") as http_client:
        with Client(http_client=http_client) as client:
            client.health()
        assert not http_client.is_closed
    assert seen[0].url == "http://elsewhere/api/healthz"


def test_own_http_client_is_closed() -> None:
    with Client() as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        client.health()


@pytest.mark.parametrize("arguments", [{"base_url": "localhost:8000"}, {"retries": -1}])
def test_senseless_arguments_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must begin with http|retries is -1"):
        Client(**arguments)
