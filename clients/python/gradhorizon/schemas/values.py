"""Numbers in reports: NumPy arrays in Python, plain JSON on the wire, and nothing non-finite in between.

The rule of the contract: in fields named `log10_...`, and only there, null means exactly zero, which Python sees as
minus infinity. Everywhere else null means infinite or undefined, with a sentence in `<name>_reason`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, SerializationInfo, WithJsonSchema

Array = np.ndarray[Any, np.dtype[Any]]


class NonFiniteError(ValueError):
    """A report holds a NaN or an infinity that the contract has no word for: a defect of the service."""


def _real(value: Any) -> Array:
    return value if isinstance(value, np.ndarray) else _filled(value, np.nan)


def _log10(value: Any) -> Array:
    return value if isinstance(value, np.ndarray) else _filled(value, -np.inf)


def _filled(value: Any, empty: float) -> Array:
    """Numbers from a list; `empty` stands for null. Raises ValueError, which a union of reports takes for a no."""
    if not isinstance(value, (list, tuple)):
        raise ValueError("a series is a list of numbers")  # noqa: TRY004
    return np.array([empty if item is None else item for item in value], dtype=np.float64)


def _integers(value: Any) -> Array:
    return np.asarray(value, dtype=np.int64)


def _complex(value: Any) -> Array:
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        return value
    pairs = np.asarray(value, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0] + 1j * pairs[:, 1]


def _matrix(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)


_LARGE = 4096
"""From so many numbers on, Python mode hands arrays on as they are, for an encoder that writes them itself."""


def _finite_list(array: Array, info: SerializationInfo) -> Any:
    if not np.isfinite(array).all():
        raise NonFiniteError("a series that must be finite holds a NaN or an infinity")
    if info.mode == "python" and array.size > _LARGE:
        return np.ascontiguousarray(array)
    return array.tolist()


def _nullable_list(array: Array) -> Any:
    if np.isinf(array).any():
        raise NonFiniteError(
            "a series holds an infinity; undefined entries are NaN in Python and null on the wire"
        )
    return [None if math.isnan(item) else item for item in array.tolist()]


def _log10_list(array: Array) -> Any:
    if np.isfinite(array).all():
        return array.tolist()
    if np.isnan(array).any() or np.isposinf(array).any():
        raise NonFiniteError("a log10 series holds a NaN or plus infinity")
    return [None if item == -math.inf else item for item in array.tolist()]


def _pairs(array: Array, info: SerializationInfo) -> Any:
    return _finite_list(np.stack([array.real, array.imag], axis=-1), info)


def _finite_number(value: float) -> float:
    if not math.isfinite(value):
        raise NonFiniteError("a number in a report is not finite")
    return float(value)


def _finite_or_none(value: float | None) -> float | None:
    return None if value is None else _finite_number(value)


def _log10_number(value: float) -> float | None:
    return None if value == -math.inf else _finite_number(value)


def _log10_or_undefined(value: float) -> float | None:
    return None if math.isnan(value) else _log10_number(value)


def _minus_infinity(value: Any) -> Any:
    return -math.inf if value is None else float(value)


_NUMBERS = {"type": "array", "items": {"type": "number"}}
_NULLABLE = {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}

Series = Annotated[Array, BeforeValidator(_real), PlainSerializer(_finite_list), WithJsonSchema(_NUMBERS)]
"""Finite float64 numbers."""
NullableSeries = Annotated[
    Array, BeforeValidator(_real), PlainSerializer(_nullable_list), WithJsonSchema(_NULLABLE)
]
"""Float64 numbers; an entry without a value is NaN in Python and null on the wire."""
Log10Series = Annotated[
    Array, BeforeValidator(_log10), PlainSerializer(_log10_list), WithJsonSchema(_NULLABLE)
]
"""Decades; exact zero is -inf in Python and null on the wire."""
IntSeries = Annotated[
    Array,
    BeforeValidator(_integers),
    PlainSerializer(lambda array: array.tolist()),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}}),
]
ComplexSeries = Annotated[
    Array,
    BeforeValidator(_complex),
    PlainSerializer(_pairs),
    WithJsonSchema({"type": "array", "items": _NUMBERS}),
]
"""Complex numbers as [re, im]."""
Matrix = Annotated[
    Array,
    BeforeValidator(_matrix),
    PlainSerializer(_finite_list),
    WithJsonSchema({"type": "array", "items": _NUMBERS}),
]
"""A finite array with two or more axes as nested lists."""
Nested = Annotated[
    Array,
    BeforeValidator(_matrix),
    PlainSerializer(_finite_list),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {}}]}),
]
"""A finite array of any shape as nested lists; one without axes as a number."""
Number = Annotated[float, PlainSerializer(_finite_number), WithJsonSchema({"type": "number"})]
NullableNumber = Annotated[
    float | None,
    PlainSerializer(_finite_or_none),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""A number, or null with the reason beside it."""
Log10Number = Annotated[
    float,
    BeforeValidator(_minus_infinity),
    PlainSerializer(_log10_number),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""Decades; exact zero is -inf in Python and null on the wire."""
UndefinedLog10Number = Annotated[
    float,
    BeforeValidator(_minus_infinity),
    PlainSerializer(_log10_or_undefined),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""Decades that may also be undefined (NaN in Python): null on the wire then comes with a reason beside it."""


def undefined_as_nan(data: Any, name: str) -> Any:
    """A report as it was sent, with NaN for a log10 that is null for a reason rather than for zero."""
    if isinstance(data, dict) and data.get(name) is None and data.get(f"{name}_reason"):
        return {**data, name: math.nan}
    return data
