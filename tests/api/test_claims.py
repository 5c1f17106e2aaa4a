"""GET /v1/claims and POST /v1/claims/{name} over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from gradhorizon_service.claims import CLAIMS


def test_every_claim_is_listed_with_its_criterion_and_parameters(client: Any) -> None:
    listed = client.get("/v1/claims").json()["claims"]
    assert [claim["name"] for claim in listed] == list(CLAIMS)
    assert len(listed) == 13
    for claim in listed:
        assert claim["criterion"]["thresholds"]
        assert "seed" in claim["parameters"]["properties"]


def test_the_catalog_lists_every_claim(client: Any) -> None:
    assert [offer["name"] for offer in client.get("/v1/catalog").json()["claims"]] == list(CLAIMS)


def test_a_claim_is_judged_in_a_worker_process(post: Any) -> None:
    answer = post({}, "/v1/claims/eigenvalue-growth")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["verdict"] == "holds"
    assert report["parameters"]["depths"] == [1, 10, 50, 200]
    assert [asked["path"] for asked in report["requests"]] == ["/v1/diagnoses"] * 4


def test_the_verdict_follows_what_the_caller_changes(post: Any) -> None:
    changed = {"draws": 2, "depth": 30, "batch": 1, "leak_rate": 1.0}
    assert post(changed, "/v1/claims/leaky-units").json()["verdict"] == "fails"


def test_a_judged_claim_can_be_drawn(post: Any) -> None:
    report = post({"steps": 5, "runs": 2}, "/v1/claims/nan-parameters").json()
    answer = post(report, "/v1/charts/nan-parameters", accept="image/svg+xml")
    assert answer.status_code == 200, answer.text
    assert report["chart"]["title"]["text"] in answer.text


def test_listed_requests_are_answered_as_they_stand(post: Any) -> None:
    report = post({"depths": [3]}, "/v1/claims/eigenvalue-growth").json()
    (asked,) = report["requests"]
    assert post(asked["body"], asked["path"]).status_code == 200


def test_unknown_claim_is_not_found_and_the_claims_are_named(post: Any, check_problem: Any) -> None:
    check_problem(post({}, "/v1/claims/flat-earth"), 404, "not_found", says="depth-ten")


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("leaky-units", {"leak_rate": 0.0}, "$.leak_rate"),
        ("leaky-units", {"leak": 0.5}, "$.leak"),
        ("depth-ten", {"runs": 19}, "$.runs"),
        ("depth-ten", {"lengths": [2, 5]}, "$"),
        ("eigenvalue-growth", {"eigenvalues": [0.5, 0.0]}, "$.eigenvalues[1]"),
        ("overshoot", {"eigenvalues": [1.1, 0.5]}, "$"),
        ("lstm", {"forget_bias": "1"}, "$.forget_bias"),
    ],
)
def test_refusal_names_the_parameter(name: str, body: Any, path: str, post: Any, check_problem: Any) -> None:
    check_problem(post(body, f"/v1/claims/{name}"), 422, "invalid_request", path)


def test_a_claim_over_the_limit_says_what_it_would_cost(post: Any, check_problem: Any) -> None:
    dear = {"runs": 40, "steps": 5000, "lengths": [10, 100]}
    problem = check_problem(post(dear, "/v1/claims/depth-ten"), 422, "cost_over_limit")
    assert problem.limit == "sync_seconds"
    assert problem.estimate > 60


def test_description_names_the_claims(client: Any) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/claims/{name}"]["post"]
    names = [
        parameter["schema"]["enum"] for parameter in operation["parameters"] if parameter["name"] == "name"
    ]
    assert names == [list(CLAIMS)]
