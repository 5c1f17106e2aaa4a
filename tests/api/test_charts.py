"""POST /v1/charts/{kind}: what Accept gets, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gradhorizon_service.api.drawing import preferred
from gradhorizon_service.api.refusals import NotAcceptable
from gradhorizon_service.claims import CHARTS

REQUEST = {
    "network": {"cell": "linear", "weights": [[0.5, 0.1], [0.0, 0.4]]},
    "depth": 10,
    "diagnostics": ["gradient_norms", "spectrum"],
}


@pytest.fixture(scope="module")
def report(post: Any) -> dict[str, Any]:
    found: dict[str, Any] = post(REQUEST).json()
    return found


def chart(post: Any, report: Any, accept: str, kind: str = "gradient_norms") -> Any:
    return post(
        report if isinstance(report, bytes) else orjson.dumps(report), f"/v1/charts/{kind}", accept=accept
    )


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/vnd.vegalite.v5+json"),
        ("application/json", "application/json"),
        ("application/*", "application/vnd.vegalite.v5+json"),
        ("image/svg+xml", "image/svg+xml"),
        ("image/png", "image/png"),
        ("image/*", "image/svg+xml"),
        ("image/png;q=0.5, image/svg+xml;q=0.9", "image/svg+xml"),
        ("text/html, image/png", "image/png"),
        ("*/*;q=0.1, image/png", "image/png"),
        ("application/vnd.vegalite.v5+json;q=0, application/*", "application/json"),
    ],
)
def test_the_best_of_the_accepted_types_is_chosen(accept: str, media_type: str) -> None:
    assert preferred(accept) == media_type


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "image/png;q=x", ""])
def test_none_of_the_accepted_types_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"image/svg\+xml"):
        preferred(accept)


def test_a_specification_comes_as_vega_lite(post: Any, report: dict[str, Any]) -> None:
    answer = chart(post, report, "*/*")
    assert answer.headers["content-type"] == "application/vnd.vegalite.v5+json"
    assert answer.json()["title"]["text"] == "How far back the gradient reaches"


def test_pictures_are_rendered_by_a_worker_process(post: Any, report: dict[str, Any]) -> None:
    drawn = chart(post, report, "image/svg+xml")
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml"), drawn.text
    assert drawn.text.startswith("<svg")
    assert chart(post, report, "image/png", "spectrum").content.startswith(b"\x89PNG")


def test_the_parts_that_a_chart_shows_are_enough(post: Any, report: dict[str, Any]) -> None:
    part = {"spectrum": report["spectrum"]}
    assert chart(post, part, "*/*", "spectrum").json() == chart(post, report, "*/*", "spectrum").json()


def test_a_large_report_is_read_elsewhere_and_drawn_alike(post: Any, report: dict[str, Any]) -> None:
    large = {**report, "ignored": "x" * 2**15}
    assert chart(post, large, "*/*").json() == chart(post, report, "*/*").json()


def test_unknown_kind_is_not_found_and_the_kinds_are_named(post: Any, check_problem: Any) -> None:
    check_problem(chart(post, {}, "*/*", "pie"), 404, "not_found", says="gradient_norms")


def test_unaccepted_type_is_406(post: Any, report: dict[str, Any], check_problem: Any) -> None:
    check_problem(chart(post, report, "text/html"), 406, "not_acceptable", says="image/png")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda report: report.pop("gradient_norms"), "$.gradient_norms"),
        (lambda report: report["gradient_norms"].update(lag=["a"]), "$.gradient_norms.lag"),
        (lambda report: report["gradient_norms"].update(log10_norm=[{}]), "$"),
        (lambda report: report["gradient_norms"].update(log10_norm=[1.0]), "$"),
        (lambda report: report.update(horizon=3), "$.horizon"),
    ],
)
def test_what_is_no_report_is_refused(
    change: Callable[[Any], Any], path: str, post: Any, report: dict[str, Any], check_problem: Any
) -> None:
    broken = orjson.loads(orjson.dumps(report))
    change(broken)
    answer = chart(post, broken, "*/*")
    check_problem(answer, 422, answer.json()["code"], path)
    assert answer.json()["code"] in ("invalid_request", "invalid_shape")


def test_every_kind_is_in_the_catalog_and_in_the_description(client: Any) -> None:
    listed = {offer["name"]: offer for offer in client.get("/v1/catalog").json()["charts"]}
    assert list(listed) == list(CHARTS)
    assert all(offer["says"] and offer["parameters"] for offer in listed.values())
    operation = client.get("/openapi.json").json()["paths"]["/v1/charts/{kind}"]["post"]
    kinds = [
        parameter["schema"]["enum"] for parameter in operation["parameters"] if parameter["name"] == "kind"
    ]
    assert kinds == [list(CHARTS)]


def test_the_example_of_the_description_is_drawn(client: Any, post: Any) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/charts/{kind}"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert chart(post, example, "*/*").status_code == 200
