"""The parts of the API's description that the framework cannot see, because bodies are read by our own hands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from gradhorizon.schemas import ErrorCode, Problem
from gradhorizon.schemas._base import RequestModel
from gradhorizon_service.analysis.tasks import CHECKPOINT_OPERATIONS, OPERATIONS

from .bodies import REQUEST_PART
from .errors import PROBLEM_JSON, TABLE

REQUEST_MODELS: tuple[type[RequestModel], ...] = (
    *(row.request for row in OPERATIONS.values()),
    *(row.request for row in CHECKPOINT_OPERATIONS.values()),
)
_REFERENCE = "#/components/schemas/{model}"

COMPUTING: tuple[ErrorCode, ...] = (
    "invalid_json",
    "not_acceptable",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "internal_error",
    "overloaded",
    "computation_timeout",
)
"""What can go wrong where a body is read and computed; each stands for its status."""


UPLOADING: tuple[ErrorCode, ...] = (
    "not_acceptable",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_artifact",
    "internal_error",
    "overloaded",
    "insufficient_storage",
)
"""What can go wrong where a file is received."""


def problems(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """Describe the failures of an operation, by status."""
    return {
        status: {
            "description": title,
            "content": {PROBLEM_JSON: {"schema": {"$ref": _REFERENCE.format(model=Problem.__name__)}}},
        }
        for status, title in (TABLE[code] for code in codes)
    }


def request_body(
    model: type[RequestModel], examples: dict[str, dict[str, Any]], tensor_example: Any = None
) -> dict[str, Any]:
    """Describe the two forms of a body: JSON, and JSON with binary parts where the request has arrays."""
    reference = {"$ref": _REFERENCE.format(model=model.__name__)}
    multipart = {
        "schema": {
            "type": "object",
            "properties": {REQUEST_PART: reference},
            "required": [REQUEST_PART],
            "additionalProperties": {
                "type": "string",
                "format": "binary",
                "description": "A .npy, .npz or .safetensors file; a field refers to it by the name of its part.",
            },
        },
        "encoding": {REQUEST_PART: {"contentType": "application/json"}},
        "examples": {
            "a tensor": {"summary": "The matrix is a binary part", "value": {REQUEST_PART: tensor_example}}
        },
    }
    content = {"application/json": {"schema": reference, "examples": examples}}
    if tensor_example is not None:
        content["multipart/form-data"] = multipart
    return {"requestBody": {"required": True, "content": content}}


def file_body() -> dict[str, Any]:
    """Describe a body that is a file as it is."""
    says = "The file as it is: .safetensors, .npz, .npy or another format that the service reads; not a form."
    content = {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary", "description": says}}
    }
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_request_schemas(REQUEST_MODELS))
        app.openapi_schema = document
    return app.openapi_schema


def _request_schemas(models: Iterable[type[RequestModel]]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    described: list[type[BaseModel]] = [*models, Problem]
    for model in described:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return schemas
