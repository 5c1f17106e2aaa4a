"""Arrays in requests: nested lists, references to binary parts and artifacts, or NumPy arrays, all read into NumPy.

A reference is resolved from the validation context (`TensorStore`), so that a validated request holds arrays only
and nothing behind this module needs to know how a number travelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

Array = np.ndarray[Any, np.dtype[Any]]

MAX_AXES = 8
"""Axes of an array of any shape; weights of a convolution over space and time have five."""
CONTEXT_KEY = "tensors"
"""Where a `TensorStore` lives in pydantic's validation context."""


@dataclass
class TensorStore:
    """What references of a request mean.

    `parts` are the binary parts that came with it: part name -> array, or -> {name -> array} for an archive.
    `artifacts` are the tensors of artifacts it refers to: (hash, name) -> array, or -> why there is none.
    """

    parts: Mapping[str, Array | Mapping[str, Array]] = field(default_factory=dict)
    artifacts: Mapping[tuple[str, str | None], Array | str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _read: dict[tuple[str, str, str | None, str], Array] = field(default_factory=dict)

    def numbers(self, way: str, target: str, name: str | None, kind: str) -> Array:
        """Return the numbers a reference means, read once: many references to an array hold no more than one."""
        key = (way, target, name, kind)
        if key not in self._read:
            self._read[key] = _converted(REFERENCES[way](self, target, name), kind)
        return self._read[key]

    def resolve(self, part: str, name: str | None) -> Array:
        """Return the array a reference means; raises PydanticCustomError where there is none."""
        if part not in self.parts:
            raise _fault("tensor_not_found", f"no part named {part!r} came with the request")
        self.used.add(part)
        content = self.parts[part]
        if isinstance(content, np.ndarray):
            if name is not None:
                raise _fault("tensor_not_found", f"part {part!r} is a single array; drop 'name'")
            return content
        if name is None:
            if len(content) == 1:
                return next(iter(content.values()))
            raise _fault(
                "tensor_not_found", f"part {part!r} holds {len(content)} arrays; say which with 'name'"
            )
        if name not in content:
            raise _fault("tensor_not_found", f"part {part!r} holds no array named {name!r}")
        return content[name]

    def resolve_artifact(self, sha256: str, name: str | None) -> Array:
        """Return the tensor of an artifact; raises PydanticCustomError where there is none."""
        found = self.artifacts.get((sha256, name), "refers to an artifact, and there are none here")
        if isinstance(found, str):
            raise _fault("tensor_not_found", found)
        return found

    def unused(self) -> list[str]:
        """Names of parts that no field referred to, sorted."""
        return sorted(set(self.parts) - self.used)


@dataclass(frozen=True)
class ArrayRule:
    """What one array field accepts: the numbers of axes, the kind of numbers, and whether one number may fill it.

    Unless it is to be `finite`, NaN and infinities pass; they can only come in a binary part, or from Python.
    """

    axes: tuple[int, ...]
    kind: Literal["real", "integer", "complex"] = "real"
    scalar: bool = False
    finite: bool = True

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(_to_list, when_used="json"),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "integer" if self.kind == "integer" else "number"}
        if self.kind == "complex":
            number = {"anyOf": [number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2}]}
        forms: list[dict[str, Any]] = [number] if self.scalar else []
        for axes in self.axes:
            nested = number
            for _ in range(axes):
                nested = {"type": "array", "items": nested}
            forms.append(nested)
        return {"anyOf": [*forms, *_REFERENCE_SCHEMAS]}

    def _numbers(self, value: Any, info: core_schema.ValidationInfo) -> Array:
        if isinstance(value, Mapping):
            return _referenced(value, info, self.kind)
        return _converted(_as_array(value, self.kind), self.kind)

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> Array:
        array = self._numbers(value, info)
        if array.ndim not in self.axes and not (array.ndim == 0 and self.scalar):
            wanted = " or ".join(str(axes) for axes in self.axes)
            raise _fault(
                "array_wrong_rank", f"has {array.ndim} axes {list(array.shape)}; it must have {wanted}"
            )
        if array.size == 0:
            raise _fault("array_empty", f"is empty (shape {list(array.shape)})")
        finite = np.isfinite(array)
        if self.finite and not finite.all():
            where = "".join(f"[{i}]" for i in np.argwhere(~finite)[0]) if array.ndim else ""
            raise _fault("array_not_finite", f"holds a NaN or an infinity at {where or 'its only entry'}")
        array.flags.writeable = False
        return array


def _fault(code: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{message}", {"message": message})


def _as_array(value: Any, kind: str) -> Array:
    if isinstance(value, np.ndarray):
        return value
    if kind == "complex" and isinstance(value, list):
        return _complex_list(value)
    if isinstance(value, (list, tuple)):
        _check_numbers(value, "")
        try:
            return np.array(value, dtype=np.float64 if kind != "integer" else None)
        except (ValueError, OverflowError):
            raise _fault("array_ragged", f"is ragged or too large a number: {_ragged(value)}") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return np.asarray(value, dtype=np.float64 if kind != "integer" else None)
        except OverflowError:
            raise _fault("array_not_finite", "holds a number too large for float64") from None
    if isinstance(value, (complex, np.number)):
        return np.asarray(value)
    raise _fault(
        "array_wrong_type", "must be numbers in nested lists, {'tensor': part} or {'artifact': sha256}"
    )


def _referenced(value: Mapping[str, Any], info: core_schema.ValidationInfo, kind: str) -> Array:
    ways = [way for way in REFERENCES if way in value]
    target, name = value.get(ways[0]) if ways else None, value.get("name")
    if (
        not isinstance(target, str)
        or not (name is None or isinstance(name, str))
        or set(value) - {ways[0], "name"}
    ):
        raise _fault(
            "tensor_reference",
            "must be {'tensor': part} or {'artifact': sha256}, with 'name' where there are several arrays in it",
        )
    store = (info.context or {}).get(CONTEXT_KEY)
    if not isinstance(store, TensorStore):
        raise _fault("tensor_not_found", "refers to what came with no request; only a service can look it up")
    return store.numbers(ways[0], target, name, kind)


REFERENCES: Mapping[str, Callable[[TensorStore, str, str | None], Array]] = {
    "tensor": TensorStore.resolve,
    "artifact": TensorStore.resolve_artifact,
}
"""The key that tells what an array is referred to by -> how it is found."""


def is_reference(value: Any) -> bool:
    """Whether an object stands for an array elsewhere."""
    return isinstance(value, Mapping) and not REFERENCES.keys().isdisjoint(value)


def _check_numbers(value: list[Any] | tuple[Any, ...], path: str) -> None:
    """Refuse booleans, strings and nulls anywhere, and lists beside numbers, by their place."""
    kinds = set(map(type, value))
    if kinds <= {float, int}:
        return
    if kinds <= {list, tuple, np.ndarray}:
        for index, item in enumerate(value):
            if not isinstance(item, np.ndarray):
                _check_numbers(item, f"{path}[{index}]")
        return
    for index, item in enumerate(value):
        if not isinstance(item, (list, tuple, np.ndarray, np.number)) and type(item) not in (float, int):
            raise _fault("array_not_numbers", f"holds a {_json_type(item)} at {path}[{index}]; numbers only")
    if kinds & {list, tuple}:
        raise _fault("array_ragged", f"is ragged: numbers and lists side by side at {path or 'the top'}")


def _json_type(item: Any) -> str:
    if item is None:
        return "null"
    return {bool: "boolean", str: "string", dict: "object"}.get(type(item), type(item).__name__)


def _ragged(value: list[Any] | tuple[Any, ...], path: str = "") -> str:
    lengths = [len(item) if isinstance(item, (list, tuple, np.ndarray)) else -1 for item in value]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            return f"entry {path}[{index}] has {length} items where {path}[0] has {lengths[0]}"
    for index, item in enumerate(value):
        if isinstance(item, (list, tuple)):
            found = _ragged(item, f"{path}[{index}]")
            if found:
                return found
    return ""


def _complex_list(value: list[Any]) -> Array:
    numbers = np.empty(len(value), dtype=np.complex128)
    for index, item in enumerate(value):
        pair = item if isinstance(item, (list, tuple)) else [item]
        if len(pair) not in (1, 2) or not all(type(part) in (int, float) for part in pair):
            if not isinstance(item, (complex, np.number)):
                raise _fault("array_not_numbers", f"entry [{index}] must be a number or a pair [re, im]")
            numbers[index] = item
        else:
            numbers[index] = complex(*pair)
    return numbers


def _converted(array: Array, kind: str) -> Array:
    if array.dtype.kind not in ("iuf" if kind != "complex" else "iufc"):
        raise _fault("array_not_numbers", f"has dtype {array.dtype}; real numbers are needed")
    if kind == "integer":
        if array.dtype.kind == "f" and not ((np.abs(array) < 2.0**53) & (array == np.round(array))).all():
            raise _fault("array_not_integers", "must hold whole numbers below 2^53")
        return array.astype(np.int64)
    if kind == "complex" and array.dtype.kind != "c" and array.ndim == 2 and array.shape[1] == 2:
        return array[:, 0] + 1j * array[:, 1]
    return array.astype(np.complex128 if kind == "complex" else np.float64)


def _to_list(array: Array) -> Any:
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1).tolist()
    return array.tolist()


def _reference_schema(key: str, target: dict[str, Any], says: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": says,
        "properties": {key: target, "name": {"type": "string"}},
        "required": [key],
        "additionalProperties": False,
    }


_REFERENCE_SCHEMAS: list[dict[str, Any]] = [
    _reference_schema(
        "tensor",
        {"type": "string"},
        "A binary part of the multipart request; `name` picks an array of an .npz or .safetensors part.",
    ),
    _reference_schema(
        "artifact",
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "A file uploaded before, by its sha256; `name` picks one of its tensors.",
    ),
]

VectorValues = Annotated[Array, ArrayRule(axes=(1,), scalar=True)]
"""(n,) float64; one number fills it (the 0-d array is broadcast where the length is known)."""
ListValues = Annotated[Array, ArrayRule(axes=(1,))]
"""(n,) float64."""
MatrixValues = Annotated[Array, ArrayRule(axes=(2,))]
"""(rows, columns) float64."""
RowsValues = Annotated[Array, ArrayRule(axes=(1, 2), scalar=True)]
"""(n,) or (B, n) float64: one row, or one row per sequence; one number fills a row."""
StepRowsValues = Annotated[Array, ArrayRule(axes=(1, 2, 3), scalar=True)]
"""(n,), (B, n) or (B, T, n) float64."""
SequenceValues = Annotated[Array, ArrayRule(axes=(2, 3))]
"""(T, D) or (B, T, D) float64."""
CubeValues = Annotated[Array, ArrayRule(axes=(3,))]
"""(T, N, N) float64."""
LabelValues = Annotated[Array, ArrayRule(axes=(1, 2), kind="integer", scalar=True)]
"""(B,) or (B, T) int64."""
GradientValues = Annotated[Array, ArrayRule(axes=tuple(range(1, MAX_AXES + 1)), scalar=True, finite=False)]
"""Any shape, float64, NaN and infinities included: the gradient of one parameter."""
NormValues = Annotated[Array, ArrayRule(axes=(1,), finite=False)]
"""(T,) float64, NaN and infinities included."""
ComplexValues = Annotated[Array, ArrayRule(axes=(1,), kind="complex")]
"""(n,) complex128 from numbers and [re, im] pairs."""
