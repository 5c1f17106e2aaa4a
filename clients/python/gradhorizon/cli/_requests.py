"""Requests in files, and the parts of a request that a file of sequences fills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ._arrays import CannotRead, read_array

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def fields_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return what settings say of a request, such as `network.leak_rate=0.3`: JSON, an array file (`@V.npy`) or a word.

    Raises CannotRead where a setting is none, or goes through something that is no object.
    """
    fields: dict[str, Any] = {}
    for setting in settings:
        path, _, value = setting.partition("=")
        *parents, name = path.split(".")
        if not value or not name or not all(parents):
            raise CannotRead(f"--set {setting}: FIELD=VALUE is needed, such as network.leak_rate=0.3")
        place = fields
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise CannotRead(f"--set {setting}: {parent} has a value already, and is no object")
        place[name] = read_array(Path(value[1:])) if value.startswith("@") else _json_or_word(value)
    return fields


def merge(request: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return a request with fields put in: objects keep what they hold besides."""
    merged = dict(request)
    for name, value in fields.items():
        kept = request.get(name)
        merged[name] = merge(kept, value) if isinstance(kept, dict) and isinstance(value, dict) else value
    return merged


def _json_or_word(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


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
