"""POST /v1/clippings: strict at the edge, and nothing but finite numbers comes back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import orjson
import pytest

PATH = "/v1/clippings"
NORM = {"kind": "norm", "threshold": 1.0}


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def test_gradients_come_back_policy_by_policy_in_their_order(post: Any) -> None:
    body = {
        "gradients": {"w": [[3.0, 0.0]], "b": [4.0]},
        "policies": [
            NORM,
            {**NORM, "framework": "keras"},
            {"kind": "value", "threshold": 2.0},
            {"kind": "none"},
        ],
        "dtype": "float64",
    }
    answer = post(body, PATH).json()
    assert [found["policy"] for found in answer["policies"]] == [
        {"kind": "norm", "threshold": 1.0, "norm_type": 2, "framework": "torch"},
        {"kind": "norm", "threshold": 1.0, "norm_type": 2, "framework": "keras"},
        {"kind": "value", "threshold": 2.0, "norm_type": None, "framework": None},
        {"kind": "none", "threshold": None, "norm_type": None, "framework": None},
    ]
    first = answer["policies"][0]
    assert first["total_norm"] == 5.0
    assert first["clipped"] is True
    assert first["factor"] == pytest.approx(1 / (5 + 1e-6), rel=1e-14)
    assert first["tensors"][0]["values"] == [[pytest.approx(0.6, rel=1e-6), 0.0]]
    assert answer["history"] is None


def test_norms_come_back_as_a_history_with_advice(post: Any) -> None:
    answer = post({"norms": [1.0, 2.0, 0.5, 100.0], "policies": [NORM]}, PATH).json()
    assert answer["history"]["step"] == [0, 1, 2, 3]
    assert answer["policies"][0]["share_clipped"] == pytest.approx(
        0.75
    )  # torch clips at 1 too: 1 / (1 + 1e-6)
    assert answer["policies"][0]["clipped"] == [True, True, False, True]
    assert answer["policies"][0]["total_norm"] == [1.0, 2.0, 0.5, 100.0]
    assert answer["advice"]["threshold"] > 0
    assert answer["gradients"] is None


def test_a_norm_of_minus_zero_is_a_norm_of_zero(post: Any) -> None:
    history = [1.0, 2.0, 0.5, 3.0, 0.1] * 4
    answers = [post({"norms": [*history, zero], "policies": [NORM]}, PATH) for zero in (0.0, -0.0)]
    plus, minus = (answer.json() for answer in answers)
    assert minus["advice"] == plus["advice"]
    assert minus["policies"] == plus["policies"]


def test_policies_may_be_left_out(post: Any) -> None:
    answer = post({"norms": [1.0, 2.0]}, PATH).json()
    assert answer["policies"] == []
    assert answer["advice"]["threshold"] is not None


def test_parts_may_hold_what_json_cannot(post_parts: Any) -> None:
    files = {"w": ("w.npy", npy([np.nan, 1.0])), "b": ("b.npy", npy(np.inf))}
    response = post_parts(
        {"gradients": {"w": {"tensor": "w"}, "b": {"tensor": "b"}}, "policies": [NORM]}, files, PATH
    )
    assert response.status_code == 200, response.text
    (found,) = response.json()["policies"]
    assert found["total_norm"] is None
    assert "NaN" in found["total_norm_reason"]
    assert found["non_finite_after"] == 3


def test_elsewhere_parts_are_finite_still(post_parts: Any, check_problem: Any) -> None:
    request = {"source": {"source": "matrix", "values": {"tensor": "w"}}}
    response = post_parts(request, {"w": ("w.npy", npy([[np.nan]]))}, "/v1/spectra")
    check_problem(response, 422, "invalid_request", says="a NaN or an infinity")


def test_nan_is_no_json_here_either(post: Any, check_problem: Any) -> None:
    check_problem(post(b'{"norms": [1.0, NaN]}', PATH), 400, "invalid_json", "$.norms[1]")


def test_one_part_may_stand_for_many_gradients(post_parts: Any) -> None:
    gradients = {f"t{i}": {"tensor": "w"} for i in range(300)}
    response = post_parts(
        {"gradients": gradients, "policies": [NORM]}, {"w": ("w.npy", npy([1.0, 0.0]))}, PATH
    )
    assert response.json()["policies"][0]["total_norm"] == pytest.approx(np.sqrt(300), rel=1e-6)


GRADIENTS = {"w": [1.0]}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "neither": ({}, "$", "one of the two"),
    "both": ({"gradients": GRADIENTS, "norms": [1.0]}, "$", "one of the two"),
    "no gradient": ({"gradients": {}}, "$.gradients", "at least 1 item"),
    "gradients in a list": ({"gradients": [[1.0]]}, "$.gradients", "must be an object"),
    "a gradient without numbers": ({"gradients": {"w": []}}, "$.gradients.w", "is empty"),
    "a gradient of nulls": ({"gradients": {"w": [1.0, None]}}, "$.gradients.w[1]", "holds a null"),
    "a gradient without a name": ({"gradients": {"": [1.0]}}, '$.gradients[""]', "at least 1 character"),
    "no norm": ({"norms": []}, "$.norms", "is empty"),
    "norms in rows": ({"norms": [[1.0]]}, "$.norms", "it must have 1"),
    "a negative norm": ({"norms": [1.0, 0.0, -0.5]}, "$.norms[2]", "norms are zero or more"),
    "values of a history": (
        {"norms": [1.0], "policies": [NORM, {"kind": "value", "threshold": 1.0}]},
        "$.policies[1]",
        "send gradients",
    ),
    "per step": (
        {"gradients": GRADIENTS, "policies": [{"kind": "per_step", "threshold": 1.0}]},
        "$.policies[0]",
        "inside the backward pass",
    ),
    "a negative threshold": (
        {"gradients": GRADIENTS, "policies": [{"kind": "norm", "threshold": -1.0}]},
        "$.policies[0].threshold",
        "greater than or equal to 0",
    ),
    "an infinity norm of optax": (
        {"norms": [1.0], "policies": [{**NORM, "norm_type": "inf", "framework": "optax"}]},
        "$.policies[0]",
        "exists in torch only",
    ),
    "too many policies": ({"norms": [1.0], "policies": [NORM] * 65}, "$.policies", "at most 64"),
    "unknown dtype": ({"norms": [1.0], "dtype": "float8"}, "$.dtype", "float16"),
    "unknown field": ({"norms": [1.0], "threshold": 1.0}, "$.threshold", "no field here"),
}


@pytest.mark.parametrize(("body", "path", "says"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_field(body: Any, path: str, says: str, post: Any, check_problem: Any) -> None:
    check_problem(post(body, PATH), 422, "invalid_request", path, says)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"gradients": {f"t{i}": 1.0 for i in range(5000)}}, "max_tensors"),
        ({"norms": [1.0], "max_points": 5000}, "max_points"),
        (
            {"gradients": {"w": [1.0] * 70_000}, "policies": [NORM] * 64, "include": ["values"]},
            "max_values",
        ),
    ],
)
def test_a_size_over_a_limit_names_the_limit(body: Any, limit: str, post: Any, check_problem: Any) -> None:
    assert check_problem(post(orjson.dumps(body), PATH), 422, "limit_exceeded").limit == limit


def test_the_id_is_that_of_the_question(post: Any, post_parts: Any) -> None:
    listed = post({"gradients": {"w": [1.0, 2.0]}, "policies": [NORM]}, PATH).json()["id"]
    sent = post_parts(
        {"gradients": {"w": {"tensor": "p"}}, "policies": [NORM], "dtype": "float32"},
        {"p": ("p.npy", npy([1.0, 2.0]))},
        PATH,
    )
    assert sent.json()["id"] == listed
    assert post({"gradients": {"v": [1.0, 2.0]}, "policies": [NORM]}, PATH).json()["id"] != listed
