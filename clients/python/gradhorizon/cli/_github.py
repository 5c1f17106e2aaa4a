"""Annotations of GitHub Actions: workflow commands, one a line, escaped as the runner reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ._policies import Violation


def annotation(violation: Violation, path: Path) -> str:
    """Return `::error file=...,title=...::message`."""
    kind = "error" if violation.severity == "error" else "warning"
    title = f"gradhorizon: {violation.where}"
    return f"::{kind} file={_property(path.as_posix())},title={_property(title)}::{_data(violation.says)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
