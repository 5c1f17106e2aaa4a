"""What a client calls its file: shown to people, and never part of a path."""

from __future__ import annotations

MAX_LENGTH = 200


def label(name: str | None) -> str | None:
    """Return the last part of a path, without unprintable characters; None where nothing is left."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(filter(str.isprintable, last)).strip()[:MAX_LENGTH] or None
