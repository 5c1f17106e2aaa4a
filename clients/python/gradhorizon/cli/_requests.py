"""Requests in files, and the parts of a request that a file of sequences fills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from ._arrays import CannotRead, read_array


def read_request(path: Path) -> dict[str, Any]:
    """Return a whole request from a .json file; raises CannotRead."""
    try:
        request = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise CannotRead(f"{path}: {error}") from error
    if not isinstance(request, dict):
        raise CannotRead(f"{path}: a request is a JSON object")
    return request


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def sequences(path: Path | None, depth: int | None, assumptions: list[str]) -> dict[str, Any]:
    """Return the fields that given sequences fill: themselves, and the depth where nothing else says it."""
    if path is None:
        return {}
    values = read_array(path)
    fields: dict[str, Any] = {"inputs": {"kind": "values", "values": values}}
    if depth is None and values.ndim in (2, 3):
        fields["depth"] = values.shape[-2]
        assumptions.append(f"depth {values.shape[-2]}: the length of the sequences in {path.name}")
    return fields
