"""Bodies of requests: small arrays as JSON lists, large ones as binary parts beside the JSON.

    {"network": {"cell": "rnn", "weights": W}, "depth": 100}
        W of 4,096 numbers or fewer     {"network": {"cell": "rnn", "weights": [[0.9, ...], ...]}, "depth": 100}
        W larger                        {"network": {"cell": "rnn", "weights": {"tensor": "array-0"}}, "depth": 100}
                                        and a part `array-0`, the file `array-0.npy`

Arrays are anything NumPy can read: its own, lists of numbers, and whatever has `__array__` (PyTorch, JAX, ...).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from pydantic import BaseModel

from ._exceptions import InvalidRequest
from .schemas.arrays import Array
from .schemas.errors import FieldError

INLINE_ELEMENTS = 4096
"""Arrays of at most this many numbers travel inside the JSON: readable, and as fast as parts are at that size."""

MOST_PARTS = 32
"""Arrays that travel as parts of their own; more go together into one .npz, as services bound the number of parts."""

LISTS = frozenset({"layers", "biases", "lags"})
"""Fields that are lists on the wire whatever holds them here: an array is taken apart along its first axis."""

ANY_NUMBER = frozenset({"gradients", "norms"})
"""Fields of a request whose arrays may hold NaN and infinities, and then travel as parts: JSON has no such numbers."""

File = tuple[str, tuple[str, bytes, str]]


@dataclass(frozen=True)
class Body:
    """A request ready to be sent: strict JSON, and the arrays it refers to by name."""

    document: bytes
    parts: Mapping[str, Array | Mapping[str, Array]]

    def files(self) -> list[File]:
        """Return the parts of a multipart/form-data request, the JSON first.

        Every part has a file name: without one, web frameworks read a part as a short form field and cap it at 1 MB.
        """
        request: File = ("request", ("request.json", self.document, "application/json"))
        return [request, *(_file(name, content) for name, content in self.parts.items())]


def build_body(request: Any) -> Body:
    """Turn a request of mappings, lists, numbers, arrays and schema models into a body; raises InvalidRequest."""
    writer = _Writer()
    document = writer.plain(request, "$")
    parts = writer.packed()
    return Body(json.dumps(document, allow_nan=False, separators=(",", ":")).encode(), parts)


def _file(name: str, content: Array | Mapping[str, Array]) -> File:
    buffer = io.BytesIO()
    if isinstance(content, np.ndarray):
        np.lib.format.write_array(buffer, content, allow_pickle=False)
        ending = "npy"
    else:
        np.savez(buffer, allow_pickle=False, **content)
        ending = "npz"
    return name, (f"{name}.{ending}", buffer.getvalue(), "application/octet-stream")


@dataclass
class _Writer:
    """Walks a request, collecting arrays too large for JSON and the references to them; equal ones once."""

    arrays: dict[str, Array] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    references: list[dict[str, str]] = field(default_factory=list)

    def plain(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, (int, float, complex, np.generic)):
            return self._number(value, path)
        if isinstance(value, BaseModel):
            return self._fields(_given_fields(value), path)
        if isinstance(value, Mapping):
            return self._fields(value.items(), path)
        if isinstance(value, (list, tuple)):
            return self._items(value, path)
        if hasattr(value, "__array__"):
            return self._array(value, path)
        raise _refused(
            path, f"cannot be sent: {type(value).__name__} is not a number, an array, a list or a mapping"
        )

    def _fields(self, items: Iterable[tuple[Any, Any]], path: str) -> dict[str, Any]:
        document = {}
        for name, value in items:
            if not isinstance(name, str):
                raise _refused(path, f"has the key {name!r}; keys are strings")
            place = f"{path}.{name}"
            if path == "$" and name in ANY_NUMBER:
                document[name] = self._of_any_number(value, place)
                continue
            document[name] = self.plain(_taken_apart(value, place) if name in LISTS else value, place)
        return document

    def _items(self, items: list[Any] | tuple[Any, ...], path: str) -> list[Any]:
        if set(map(type, items)) <= {int, float} and all(map(math.isfinite, items)):
            return list(items)  # the bulk of any large list, without a call for each number
        return [self.plain(item, f"{path}[{index}]") for index, item in enumerate(items)]

    def _number(self, value: Any, path: str) -> Any:
        number = float(value) if isinstance(value, np.floating) else value
        number = number.item() if isinstance(number, np.generic) else number
        if isinstance(number, complex):
            return [self._number(number.real, path), self._number(number.imag, path)]
        if isinstance(number, (str, bool, int)):
            return number
        if not isinstance(number, float):
            raise _refused(path, f"cannot be sent: {type(value).__name__} is not a number")
        if not math.isfinite(number):
            raise _refused(path, f"is {number}; numbers in a request are finite")
        return number

    def _of_any_number(self, value: Any, path: str) -> Any:
        """An array, or arrays by name, whose names mean nothing here."""
        if value is None:
            return None
        if not isinstance(value, Mapping):
            return self._array(value, path, finite=False)
        for name in value:
            if not isinstance(name, str):
                raise _refused(path, f"has the key {name!r}; keys are strings")
        return {name: self._of_any_number(item, f"{path}.{name}") for name, item in value.items()}

    def _array(self, value: Any, path: str, *, finite: bool = True) -> Any:
        array = _checked(_read_array(value, path), path, finite)
        if array.size > INLINE_ELEMENTS or not (finite or np.isfinite(array).all()):
            return self._reference(array)
        if array.dtype.kind == "c":
            array = np.stack([array.real, array.imag], axis=-1)
        return array.tolist()

    def _reference(self, array: Array) -> dict[str, str]:
        key = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
        key.update(array.reshape(-1).view(np.uint8).data)
        name = self.names.setdefault(key.digest(), f"array-{len(self.arrays)}")
        self.arrays[name] = array
        self.references.append({"tensor": name})
        return self.references[-1]

    def packed(self) -> Mapping[str, Array | Mapping[str, Array]]:
        """Return the parts; where they are many, all references now point into one archive."""
        if len(self.arrays) <= MOST_PARTS:
            return dict(self.arrays)
        for reference in self.references:
            reference.update(tensor="arrays", name=reference["tensor"])
        return {"arrays": self.arrays}


def _given_fields(model: BaseModel) -> Iterable[tuple[str, Any]]:
    """Return the fields of a model without its nulls, which in a request never say more than leaving them out."""
    return ((name, value) for name in type(model).model_fields if (value := getattr(model, name)) is not None)


def _taken_apart(value: Any, path: str) -> Any:
    array = _read_array(value, path) if hasattr(value, "__array__") else None
    return value if array is None or array.ndim == 0 else list(array)


def _read_array(value: Any, path: str) -> Array:
    if hasattr(value, "detach"):  # a PyTorch tensor: autograd and other devices end here
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return _upcast(value, path, error)


def _upcast(value: Any, path: str, error: Exception) -> Array:
    """Read what NumPy has no type for (bfloat16 of PyTorch) in double precision."""
    try:
        return np.asarray(value.double())
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise _refused(path, f"cannot be read as an array: {error}") from error


def _checked(array: Array, path: str, finite: bool) -> Array:
    """Return the array contiguous, little-endian and of a portable type, having found it finite where it must be."""
    if array.dtype.kind == "V" and array.dtype.names is None:  # bfloat16 and its kin, as of ml_dtypes
        array = array.astype(np.float64)
    if array.dtype.kind not in "iufc":
        raise _refused(path, f"has dtype {array.dtype}; an array of numbers is needed")
    if finite and not np.isfinite(array).all():
        place = "".join(f"[{index}]" for index in np.argwhere(~np.isfinite(array))[0])
        raise _refused(path + place, "holds a NaN or an infinity")
    portable = array.astype(_portable(array.dtype), copy=False)
    return cast("Array", np.ascontiguousarray(portable).reshape(array.shape))


def _portable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    widest = 8 if dtype.kind != "c" else 16  # long doubles differ from machine to machine
    return np.dtype(f"<{dtype.kind}{min(dtype.itemsize, widest)}")


def _refused(path: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {message}", errors=[FieldError(path=path, message=message)])
