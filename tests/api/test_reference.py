"""The API reference: it works offline, says what really happens, and its examples run."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import orjson
import pytest

from gradhorizon_service.analysis.tasks import OPERATIONS
from gradhorizon_service.api import examples
from gradhorizon_service.api.errors import TABLE
from gradhorizon_service.api.openapi import COMPUTING

EXAMPLES = {
    f"{path}: {name}": (path, entry["value"])
    for path, entries in examples.BY_PATH.items()
    for name, entry in entries.items()
}


def test_every_operation_has_examples() -> None:
    assert set(examples.BY_PATH) == set(OPERATIONS)


@pytest.fixture(scope="module")
def document(client: Any) -> dict[str, Any]:
    """The OpenAPI document."""
    loaded: dict[str, Any] = client.get("/openapi.json").json()
    return loaded


@pytest.mark.parametrize(("path", "body"), EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_of_the_reference_runs(path: str, body: Any, post: Any) -> None:
    response = post(orjson.dumps(body), path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"


def test_the_example_with_a_tensor_runs(post_parts: Any) -> None:
    stream = io.BytesIO()
    np.savez(stream, weight_hh_l0=np.eye(3) / 2)
    files = {"checkpoint": ("checkpoint.npz", stream.getvalue())}
    response = post_parts(examples.TENSOR_DIAGNOSIS, files, "/v1/diagnoses")
    assert response.status_code == 200, response.text


def test_the_example_with_gradients_in_a_part_runs(post_parts: Any) -> None:
    stream = io.BytesIO()
    np.savez(stream, weight_hh_l0=np.array([[1e5, np.nan]]))
    files = {"gradients": ("gradients.npz", stream.getvalue())}
    response = post_parts(examples.TENSOR_CLIPPINGS, files, "/v1/clippings")
    assert response.status_code == 200, response.text


WITHOUT_ARRAYS = {"/v1/mean-fields"}


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_form_of_a_body_and_every_failure_are_described(path: str, document: dict[str, Any]) -> None:
    forms = {"application/json"} if path in WITHOUT_ARRAYS else {"application/json", "multipart/form-data"}
    operation = document["paths"][path]["post"]
    assert set(operation["requestBody"]["content"]) == forms
    statuses = {str(TABLE[code][0]) for code in COMPUTING}
    assert statuses | {"200"} == set(operation["responses"])
    for status in statuses:
        assert set(operation["responses"][status]["content"]) == {"application/problem+json"}


def test_every_reference_of_the_description_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', orjson.dumps(document).decode()))
    assert references
    assert references <= set(document["components"]["schemas"])


def test_the_framework_describes_no_failure_of_its_own(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_the_reference_loads_nothing_from_elsewhere(client: Any) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']|url: ["']([^"']+)["']""", page.text)
    local = [first or second for first, second in addresses]
    assert local
    for address in local:
        assert address.startswith("/")
        assert client.get(address).status_code == 200
    assert "validatorUrl" in page.text


def test_the_catalog_offers_what_the_settings_limit(client: Any, settings: Any) -> None:
    catalog = client.get("/v1/catalog").json()
    limits = {limit["name"]: limit["value"] for limit in catalog["limits"]}
    assert limits["max_size"] == settings.max_size
    assert {cell["name"] for cell in catalog["cells"]} >= {"linear", "rnn", "feedforward", "jacobians"}
