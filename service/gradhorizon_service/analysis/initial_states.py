"""A given initial state as rows of the whole state, checked against the network's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradhorizon.schemas.inputs import ValuesState

from .errors import Fault, InvalidRequest, InvalidShape
from .shapes import NetworkShape


def given_state(state: ValuesState, shape: NetworkShape) -> Any:
    """The state as one number, (N,) or (B, N). Raises InvalidRequest or InvalidShape.

    `values` is the whole state, or h alone; what is not given is zero. Parts that are not h have names of their own.
    """
    if state.values is not None:
        return _from_values(state.values, shape)
    sizes = shape.parts or {"h": shape.state_size}
    given = {name: rows for name in ("h", "c") if (rows := getattr(state, name)) is not None}
    for name, rows in given.items():
        if name not in sizes:
            raise InvalidRequest(
                (Fault(f"$.initial_state.{name}", f"the state of this network has no {name}"),)
            )
        _check(f"$.initial_state.{name}", rows, (sizes[name],))
    parts = [given.get(name, np.zeros(())) for name in sizes]
    rest = shape.state_size - sum(sizes.values())
    return _joined(parts, [*sizes.values()], rest)


def _from_values(values: Any, shape: NetworkShape) -> Any:
    # Of a feed-forward network the outputs are no part of the state that it starts from.
    units = min(shape.output_size, shape.state_size) if shape.parts else shape.state_size
    _check("$.initial_state.values", values, (shape.state_size, units))
    if values.ndim == 0 or values.shape[-1] == shape.state_size:
        return values
    return _joined([values], [units], shape.state_size - units)


def _check(path: str, rows: Any, sizes: tuple[int, ...]) -> None:
    if rows.ndim and rows.shape[-1] not in sizes:
        fits = " or ".join(str(size) for size in dict.fromkeys(sizes))
        raise InvalidShape(path, f"must have {fits} entries a row, one a unit; it has {rows.shape[-1]}")


def _joined(parts: list[Any], sizes: list[int], rest: int) -> Any:
    """Rows side by side, then `rest` zeros."""
    batch = max((len(part) for part in parts if part.ndim == 2), default=1)
    rows = [np.broadcast_to(part, (batch, size)) for part, size in zip(parts, sizes, strict=True)]
    return np.concatenate([*rows, np.zeros((batch, rest))], axis=1)
