"""What the commands about whole checkpoints share: which fields a request gets, and where the file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._arrays import CannotRead

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DEPTH = 100
"""Steps back in time where nothing else says them."""


def existing(path: Path) -> Path:
    """Return the path of a file, or of a folder that holds one; raises CannotRead."""
    if not path.exists():
        raise CannotRead(f"{path}: there is no such file")
    return path


def with_depth(request: dict[str, Any], assumptions: list[str]) -> dict[str, Any]:
    """Return a request with a depth, having said which one where it was chosen here."""
    if request.get("depth") is not None:
        return request
    assumptions.append(f"depth {DEFAULT_DEPTH}: --depth says another one")
    return {**request, "depth": DEFAULT_DEPTH}


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were used."""
    return {name: value for name, value in fields.items() if value is not None}


def names_of(text: str | None) -> list[str] | None:
    """Return a list of names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None
