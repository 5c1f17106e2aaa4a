"""One spelling for every request that means the same, so that the same question has the same id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel


def request_id(request: BaseModel, parts: Mapping[str, str] | None = None) -> str:
    """SHA-256 of the filled request, arrays replaced by dtype, shape and content hash.

    `parts` are ids of requests that this one is made of, by name.
    """
    content = _canonical(request)
    text = orjson.dumps({**content, **({"parts": parts} if parts else {})}, option=orjson.OPT_SORT_KEYS)
    return "sha256:" + sha256(text).hexdigest()


def parts_id(parts: Mapping[str, str]) -> str:
    """SHA-256 of ids and words by name."""
    return "sha256:" + sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def arrays_sha256(request: BaseModel) -> str:
    """SHA-256 (hex) over the content of all arrays of a request, in the order of its fields."""
    digest = sha256()
    for array in _arrays(request):
        digest.update(_content(array).encode())
    return digest.hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": _content(value)}
    if isinstance(value, BaseModel):
        return {name: _canonical(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


def _arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _arrays(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))


def _content(array: np.ndarray[Any, Any]) -> str:
    return sha256(np.ascontiguousarray(array).data).hexdigest()
