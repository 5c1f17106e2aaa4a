"""POST /v1/mean-fields: the theory over the wire, and refusals that name the field."""

from __future__ import annotations

import math
from typing import Any

import pytest

PATH = "/v1/mean-fields"


def ask(post: Any, **body: Any) -> dict[str, Any]:
    response = post(body, PATH)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_only_a_weight_variance_is_required(post: Any) -> None:
    answer = ask(post, weight_variance=0.5)
    assert (answer["activation"], answer["bias_variance"], answer["phase"]) == ("tanh", 0.0, "ordered")
    assert answer["q_star"] == 0.0
    assert answer["c_star"] is None
    assert answer["c_star_reason"]


def test_critical_gain_is_the_root_of_the_critical_variance(post: Any) -> None:
    answer = ask(post, activation="leaky_relu", negative_slope=0.5, weight_variance=1.0)
    assert answer["critical_weight_variance"] == pytest.approx(1.6)
    assert answer["critical_gain"] == pytest.approx(math.sqrt(1.6))
    assert answer["growth_rate"] == pytest.approx(0.5 * math.log(0.625))


def test_line_starts_at_the_critical_variance_without_biases(post: Any) -> None:
    line = {"over": "bias_variance", "start": 0.0, "stop": 0.05, "points": 3}
    answer = ask(post, weight_variance=1.5, bias_variance=0.05, critical_line=line)["critical_line"]
    assert answer["bias_variance"] == [0.0, 0.025, 0.05]
    assert answer["weight_variance"][0] == 1.0
    assert answer["weight_variance"][2] == pytest.approx(1.7609546396)
    assert answer["weight_variance_reason"] is None


def test_line_says_why_it_ends(post: Any) -> None:
    line = {"over": "weight_variance", "start": 0.5, "stop": 1.5, "points": 2}
    answer = ask(post, weight_variance=1.5, critical_line=line)["critical_line"]
    assert answer["bias_variance"][0] is None
    assert answer["bias_variance"][1] == pytest.approx(0.0158178774)
    assert answer["bias_variance_reason"]


def test_leading_exponents_are_as_many_as_asked_for(post: Any) -> None:
    assert len(ask(post, weight_variance=1.0, size=5)["gaussian_product_exponents"]) == 5
    assert len(ask(post, weight_variance=1.0, size=5, leading=2)["gaussian_product_exponents"]) == 2
    assert len(ask(post, weight_variance=1.0, size=5, leading=9)["gaussian_product_exponents"]) == 5
    assert ask(post, weight_variance=1.0)["gaussian_product_exponents"] is None


def test_several_critical_variances_are_a_warning(post: Any) -> None:
    assert "beside 2" in ask(post, activation="elu", weight_variance=1.2)["warnings"][0]


def test_the_same_question_has_the_same_id(post: Any) -> None:
    short, spelled = (
        ask(post, weight_variance=2),
        ask(post, weight_variance=2.0, activation="tanh", bias_variance=0),
    )
    assert short["id"] == spelled["id"] != ask(post, weight_variance=2.0, bias_variance=1e-9)["id"]


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({}, "$.weight_variance", "is required"),
        ({"weight_variance": 0}, "$.weight_variance", "greater than 0"),
        ({"weight_variance": "1"}, "$.weight_variance", "must be a number"),
        ({"weight_variance": 1e300}, "$.weight_variance", "between 1e-150 and 1e+150"),
        ({"weight_variance": 1e-300}, "$.weight_variance", "between 1e-150 and 1e+150"),
        ({"weight_variance": 1, "bias_variance": -1}, "$.bias_variance", "greater than or equal to 0"),
        ({"weight_variance": 1, "bias_variance": 1e200}, "$.bias_variance", "between 1e-150 and 1e+150"),
        ({"weight_variance": 1, "activation": "swish"}, "$.activation", "must be"),
        ({"weight_variance": 1, "alpha": 2.0}, "$", "belongs to the activation elu"),
        (
            {"weight_variance": 1, "activation": "softplus", "beta": 1e60},
            "$.beta",
            "between 1e-50 and 1e+50",
        ),
        ({"weight_variance": 1, "leading": 3}, "$.leading", "needs size"),
        ({"weight_variance": 1, "gain": 3}, "$.gain", "no field here"),
        (
            {"weight_variance": 1, "critical_line": {"over": "weight_variance", "start": 0, "stop": 1}},
            "$.critical_line.start",
            "above zero",
        ),
        (
            {"weight_variance": 1, "critical_line": {"over": "depth", "start": 0, "stop": 1}},
            "$.critical_line.over",
            "must be",
        ),
    ],
)
def test_refusal_names_the_field(body: Any, path: str, says: str, post: Any, check_problem: Any) -> None:
    check_problem(post(body, PATH), 422, "invalid_request", path, says)


@pytest.mark.parametrize(
    ("body", "path", "limit"),
    [
        ({"size": 10**9}, "$.size", "max_modes"),
        (
            {"critical_line": {"over": "bias_variance", "start": 0, "stop": 1, "points": 10**9}},
            "$.critical_line.points",
            "max_points",
        ),
    ],
)
def test_refusal_names_the_limit(body: Any, path: str, limit: str, post: Any, check_problem: Any) -> None:
    problem = check_problem(post({"weight_variance": 1, **body}, PATH), 422, "limit_exceeded", path)
    assert problem.limit == limit
