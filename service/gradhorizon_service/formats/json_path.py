"""JSON paths: how they are written, and which one a position in a text belongs to.

The fast parser says at which character it gave up, not in which field. The text before that character is well-formed,
so one forgiving pass over its strings and brackets tells the path; rows of numbers are skipped in one piece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME_SHOWN = 60
_PARTS_SHOWN = 16

_TOKEN = re.compile(
    r"""
    " [^"\\]*+ (?: \\. [^"\\]*+ )*+ "?    # a string, perhaps cut off
    | [\[\]{}:]
    | [^"\[\]{}:]++                       # commas, numbers, words, blanks
    """,
    re.VERBOSE | re.DOTALL,
)


def json_path(parts: Iterable[str | int]) -> str:
    """Write a path as JSONPath does: `$.network.weights.values[0][1]`; long names and very deep paths are cut."""
    shown = list(parts)
    if len(shown) > _PARTS_SHOWN:
        return "$" + "".join(map(_step, shown[:_PARTS_SHOWN])) + "..."
    return "$" + "".join(map(_step, shown))


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    name = part if len(part) <= _NAME_SHOWN else part[:_NAME_SHOWN] + "..."
    return f".{name}" if _PLAIN_NAME.match(name) else f"[{json.dumps(name)}]"


@dataclass
class _Frame:
    """One open list (label = index) or object (label = current key, None before the first)."""

    label: int | str | None
    keys: set[str] = field(default_factory=set)
    expects_key: bool = False


def locate(text: str, position: int) -> str:
    """Return the path of the value at a position of a text that is well-formed JSON up to there."""
    frames: list[_Frame] = []
    for _ in _keys(text, position, frames):
        pass
    return _path(frames)


def find_duplicate(text: str) -> str | None:
    """Return the path of the first key that stands twice in one object, None where there is none."""
    frames: list[_Frame] = []
    for frame, key in _keys(text, len(text), frames):
        if key in frame.keys:
            return _path(frames)
        frame.keys.add(key)
    return None


def _path(frames: list[_Frame]) -> str:
    return json_path(frame.label for frame in frames if frame.label is not None)


def _keys(text: str, stop: int, frames: list[_Frame]) -> Iterator[tuple[_Frame, str]]:
    """Follow the text up to `stop`, keeping `frames` up to date; yield every key where it stands."""
    for match in _TOKEN.finditer(text, 0, stop):
        token = match.group()
        mark = token[0]
        if mark == "[":
            frames.append(_Frame(0))
        elif mark == "{":
            frames.append(_Frame(None, expects_key=True))
        elif not frames:
            continue
        elif mark in "]}":
            frames.pop()
        elif mark == '"':
            if frames[-1].expects_key:
                frames[-1].label = key = _unquoted(token)
                frames[-1].expects_key = False
                yield frames[-1], key
        elif mark != ":":
            _step_over(frames[-1], token.count(","))


def _step_over(frame: _Frame, commas: int) -> None:
    if isinstance(frame.label, int):
        frame.label += commas
    elif commas:
        frame.expects_key = True


def _unquoted(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:  # cut off, or with an escape that JSON does not have: it is shown as it stands
        return token.strip('"')
