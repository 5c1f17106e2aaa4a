"""Lift the large nested lists of numbers of a JSON tree into NumPy arrays.

What is lifted is provably a rectangular list of numbers; everything else is left as it is, for the validator to name.
Because the remaining values are counted and bounded, everything that later walks, pickles or validates the tree costs
little, however large the text was.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from .errors import JsonFault, TooManyValues
from .json_path import json_path

Array = np.ndarray[Any, np.dtype[Any]]

MAX_DEPTH = 64
"""Levels of nesting; the contract needs fewer than ten. Python's own stack is safe to about a thousand."""
MAX_VALUES = 20_000
"""Values outside lifted arrays: enough for thousands of layers, small enough to walk in about 10 ms."""
LIFT_FROM = 64
"""Numbers; shorter lists stay lists, they cost nothing and most are no arrays at all (`lags`, `shape`)."""
_MAX_AXES = 4

_Parts = tuple[str | int, ...]


def lift(tree: Any, max_values: int = MAX_VALUES) -> tuple[Any, int]:
    """Replace large lists of numbers in place; return the tree and how many object keys it holds."""
    lifter = _Lifter(max_values)
    return lifter.lifted(tree, ()), lifter.keys


def as_numbers(value: list[Any]) -> Array | None:
    """Return a rectangular nested list of at least `LIFT_FROM` numbers as an array, anything else as None.

    Booleans are no numbers here. Integers without a float beside them stay integers.
    """
    shape, level = [len(value)], value
    kinds = set(map(type, level))
    while kinds == {list} and len(shape) < _MAX_AXES and len(set(map(len, level))) == 1:
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    if not kinds <= {int, float} or len(level) < LIFT_FROM:
        return None
    array = np.array(level, dtype=np.float64 if float in kinds else None)
    return array.reshape(shape) if array.dtype.kind == "i" or float in kinds else None


class _Lifter:
    def __init__(self, max_values: int) -> None:
        self.keys = 0
        self._max_values = max_values
        self._values = 0

    def lifted(self, value: Any, parts: _Parts) -> Any:
        if type(value) is list:
            return self._list(value, parts)
        if type(value) is dict:
            return self._object(value, parts)
        return value

    def _list(self, value: list[Any], parts: _Parts) -> Any:
        array = as_numbers(value)
        if array is not None:
            return array
        self._count(len(value), parts)
        kinds = set(map(type, value))
        if list in kinds or dict in kinds:
            for index, item in enumerate(value):
                value[index] = self.lifted(item, (*parts, index))
        return value

    def _object(self, value: dict[str, Any], parts: _Parts) -> Any:
        self._count(len(value), parts)
        self.keys += len(value)
        for key, item in value.items():
            value[key] = self.lifted(item, (*parts, key))
        return value

    def _count(self, more: int, parts: _Parts) -> None:
        if len(parts) >= MAX_DEPTH:
            raise JsonFault(json_path(parts), f"is nested deeper than {MAX_DEPTH} levels")
        self._values += more
        if self._values > self._max_values:
            raise TooManyValues(
                json_path(parts),
                f"brings the request to more than {self._max_values} values outside rectangular lists of numbers",
            )
