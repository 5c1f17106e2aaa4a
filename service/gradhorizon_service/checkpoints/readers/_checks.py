"""What every reader refuses in the same words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ...formats.errors import JsonFault, TensorFault
from ...formats.strict_json import read_json
from ..errors import Damaged, TooLarge, shown
from ..limits import ReadLimits
from ..tensor import Role, Tensor

_LARGEST_LENGTH = 2**60


@contextmanager
def as_damaged(prefix: str = "") -> Iterator[None]:
    """Pass on what the parsers of whole parts refuse."""
    try:
        yield
    except TensorFault as fault:
        raise Damaged(prefix + fault.message) from None


def parsed_json(text: bytes, what: str, limits: ReadLimits) -> Any:
    """Read strict JSON of bounded depth and number of values."""
    try:
        return read_json(text, limits.max_values)
    except JsonFault as fault:
        raise Damaged(f"has {what} that cannot be read: {fault.path} {fault.message}") from None


def checked_shape(name: str, shape: Iterable[Any], limits: ReadLimits) -> tuple[int, ...]:
    """Return the lengths as a tuple of whole numbers whose product any machine can hold."""
    lengths = tuple(shape)
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise Damaged(f"gives {shown(name)} a shape that is no list of whole numbers")
    if len(lengths) > limits.max_axes:
        raise TooLarge(f"gives {shown(name)} {len(lengths)} axes; at most {limits.max_axes} are read")
    if math.prod(max(length, 1) for length in lengths) > _LARGEST_LENGTH:
        raise Damaged(f"gives {shown(name)} a shape with more numbers than any file holds")
    return lengths


def by_name(tensors: Iterable[Tensor], limits: ReadLimits) -> dict[str, Tensor]:
    """Collect tensors; refuses a name that stands twice, too many, and views that add up to more than files hold."""
    collected: dict[str, Tensor] = {}
    total = 0
    for tensor in tensors:
        if tensor.name in collected:
            raise Damaged(f"holds two tensors called {shown(tensor.name)}")
        collected[tensor.name] = tensor
        total += tensor.nbytes
        if len(collected) > limits.max_tensors:
            raise TooLarge(f"holds more than {limits.max_tensors} tensors; no more are read")
        if total > limits.max_file_bytes:
            raise TooLarge(
                f"holds tensors of more than {limits.max_file_bytes} bytes in all; no more are read"
            )
    return collected


def role_of(first: str) -> Role:
    """Tell what an optimizer keeps by the first part of its name, which is `optimizer...` or `opt_state` everywhere."""
    return "optimizer" if first.lower().startswith(("optim", "opt_state")) else "parameter"
