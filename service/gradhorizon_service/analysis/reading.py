"""A tree of untrusted values into a validated request, with faults that name a JSON path and what to change.

pydantic reports where in the *schema* a value failed: tags of unions and names of validators stand between the fields,
and fields that a validator moved are reported where they were moved to. The way through the data that was sent is found
by walking it beside pydantic's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gradhorizon.schemas.arrays import CONTEXT_KEY, Array, TensorStore

from ..formats.json_path import json_path
from ..formats.lifting import MAX_VALUES
from .errors import Fault, InvalidRequest

RequestType = TypeVar("RequestType", bound=BaseModel)
Tensors = Mapping[str, Array | Mapping[str, Array]]
Artifacts = Mapping[tuple[str, str | None], Array | str]
"""Hash and name of a tensor -> the array, or why there is none."""
Steps = tuple[str | int, ...]

MAX_FAULTS = 20
_LONGEST_MESSAGE = 300
_PLACE_IN_ARRAY = re.compile(r" at ((?:\[\d+\])+)")


class UnusedPart(InvalidRequest):
    """A binary part came with the request, and no field refers to it."""

    code = "unused_part"


def read_request(
    model: type[RequestType], data: object, tensors: Tensors, artifacts: Artifacts | None = None
) -> RequestType:
    """Validate `data` as `model`, resolving references to the parts in `tensors` and to `artifacts`.

    Arrays may stand for lists of numbers anywhere. Raises InvalidRequest with at most 20 faults, none of which repeats
    a value that was sent, and UnusedPart.
    """
    store = TensorStore(tensors, artifacts or {})
    request = _validated(model, data, store)
    unused = store.unused()
    if unused:
        raise UnusedPart(
            tuple(
                Fault(
                    json_path(["parts", part]),
                    "is referred to by no field; name it in a {'tensor': part} or leave it out",
                )
                for part in unused[:MAX_FAULTS]
            )
        )
    return request


def _validated(model: type[RequestType], data: object, store: TensorStore) -> RequestType:
    context = {CONTEXT_KEY: store}
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        unlifted = _unlifted(data, error)
        if unlifted is data:
            raise InvalidRequest(_faults(data, error)) from None
    try:
        return model.model_validate(unlifted, context=context)
    except ValidationError as error:
        raise InvalidRequest(_faults(unlifted, error)) from None


def _unlifted(data: Any, error: ValidationError) -> Any:
    """Turn arrays back into lists where the schema wants a list of its own (`lags`, `layers`) and not an array."""
    for detail in _details(error):
        if detail["type"] in ("list_type", "array_wrong_rank"):
            steps = _steps(data, detail)
            value = _at(data, steps)
            if isinstance(value, np.ndarray) and _objects(value) <= MAX_VALUES:
                data = _replaced(data, steps, list(value) if value.ndim > 2 else value.tolist())
    return data


def _objects(array: Array) -> int:
    return len(array) if array.ndim > 2 else array.size


def _replaced(data: Any, steps: Steps, value: Any) -> Any:
    """Return a copy that shares everything but the containers on the way."""
    if not steps:
        return value
    inner = _replaced(data[steps[0]], steps[1:], value)
    if isinstance(data, dict):
        return {**data, steps[0]: inner}
    return [*data[: steps[0]], inner, *data[int(steps[0]) + 1 :]]


def _faults(data: Any, error: ValidationError) -> tuple[Fault, ...]:
    """One fault a path: alternatives that failed at the same place (a name or a matrix) are one sentence."""
    messages: dict[str, list[str]] = {}
    for detail in _details(error):
        path, message = _fault(data, detail)
        said = messages.setdefault(path, [])
        if message not in said:
            said.append(message)
    faults = (Fault(path, " or ".join(said)[:_LONGEST_MESSAGE]) for path, said in messages.items())
    return tuple(faults)[:MAX_FAULTS]


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)[: 2 * MAX_FAULTS]


def _fault(data: Any, detail: ErrorDetails) -> tuple[str, str]:
    kind, steps, message = detail["type"], _steps(data, detail), _message(detail)
    if kind == "list_type" and isinstance(_at(data, steps), np.ndarray):
        message = f"has more than {MAX_VALUES} items"
    if kind in ("union_tag_invalid", "union_tag_not_found") and isinstance(_at(data, steps), dict):
        steps = (*steps, detail["ctx"]["discriminator"].strip("'"))
    place = _PLACE_IN_ARRAY.search(message) if kind.startswith("array_") else None
    if place is None:
        return json_path(steps), message
    return json_path(steps) + place[1], message.replace(place[0], "", 1)


def _message(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] in _SENTENCES:
        return _SENTENCES[detail["type"]](context)
    message = detail["msg"].removeprefix("Value error, ")
    for pydantic, ours in _OPENINGS.items():
        message = message.replace(pydantic, ours, 1) if message.startswith(pydantic) else message
    return re.sub(r" after validation, not \d+", "", message)


def _always(sentence: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: sentence


_OPENINGS = {
    "Input should be ": "must be ",
    "List should have ": "must have ",
    "Tuple should have ": "must have ",
    "String should have ": "must have ",
    "Dictionary should have ": "must have ",
}

_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": _always("is required"),
    "extra_forbidden": _always("is no field here; remove it, or check its spelling"),
    "model_type": _always("must be an object"),
    "model_attributes_type": _always("must be an object"),
    "dict_type": _always("must be an object"),
    "int_type": _always("must be a whole number"),
    "int_from_float": _always("must be a whole number"),
    "float_type": _always("must be a number"),
    "bool_type": _always("must be true or false"),
    "string_type": _always("must be a text"),
    "list_type": _always("must be a list"),
    "literal_error": lambda context: f"must be {context['expected']}",
    "union_tag_invalid": lambda context: f"must be one of {context['expected_tags']}",
    "union_tag_not_found": _always("is required; GET /v1/catalog lists the choices"),
}


def _steps(data: Any, detail: ErrorDetails) -> Steps:
    """Return the way through the data that explains most of pydantic's location, its last item above all."""
    names_absent = detail["type"] == "missing"
    ways = _ways(data, tuple(detail["loc"]), names_absent)
    return max(ways, key=lambda way: (way[1], len(way[0])))[0]


def _ways(value: Any, location: tuple[str | int, ...], names_absent: bool) -> Iterator[tuple[Steps, bool]]:
    """Yield (steps, whether the last item was a step): each item is a step into the value, or no part of the data."""
    if not location:
        yield (), False
        return
    item, rest = location[0], location[1:]
    if _holds(value, item):
        for steps, last in _ways(value[item], rest, names_absent):
            yield (item, *steps), last or not rest
    elif not rest and names_absent and isinstance(value, dict):
        yield (item,), True
    yield from _ways(value, rest, names_absent)


def _holds(value: Any, item: str | int) -> bool:
    if isinstance(value, dict):
        return item in value
    return isinstance(value, (list, tuple, np.ndarray)) and isinstance(item, int) and item < len(value)


def _at(data: Any, steps: Steps) -> Any:
    for step in steps:
        data = data[step]
    return data
