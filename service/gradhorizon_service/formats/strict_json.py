"""Strict JSON: what RFC 8259 and I-JSON (RFC 7493) allow, with every refusal naming the path of the offender."""

from __future__ import annotations

import re
from typing import Any

import orjson

from .errors import JsonFault
from .json_path import find_duplicate, locate
from .lifting import MAX_DEPTH, MAX_VALUES, lift

Buffer = bytes | bytearray

_WORD_FOR_NO_NUMBER = re.compile(r"[-+]?(nan|inf(inity)?)\b", re.IGNORECASE)

_SAYS = {
    "number is infinity when parsed as double": "is a number too large for float64 (above 1.8e308)",
    "no low surrogate in string": "holds a lone surrogate, which is no Unicode text",
    "invalid high surrogate in string": "holds a lone surrogate, which is no Unicode text",
    "depth limit exceeded": f"is nested deeper than {MAX_DEPTH} levels",
    "trailing comma is not allowed": "is preceded by a trailing comma; remove it",
    "unexpected end of data": "is cut off: the text ends before the value does",
    "unexpected content after document": "is followed by more text; send one JSON value",
}


def read_json(data: Buffer, max_values: int = MAX_VALUES) -> Any:
    """Parse JSON text into a tree whose large lists of numbers are arrays (see `lifting`).

    Raises JsonFault for NaN and Infinity, numbers beyond float64, lone surrogates, keys that stand twice, bad UTF-8,
    nesting deeper than 64 levels, more than one value, or no value at all.
    """
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _fault(data, error) from None
    tree, keys = lift(tree, max_values)
    # Every key of the text has its colon, so as many colons as keys in the tree means that none stood twice. A colon
    # in a string makes the counts differ too: then the slow way has to look.
    if data.count(b":") != keys:
        _refuse_duplicates(data)
    return tree


def _refuse_duplicates(data: Buffer) -> None:
    path = find_duplicate(str(data, "utf-8"))
    if path is not None:
        raise JsonFault(path, "stands twice in the same object; keep one")


def _fault(data: Buffer, error: orjson.JSONDecodeError) -> JsonFault:
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as bad:
        path = locate(str(memoryview(data)[: bad.start], "utf-8"), bad.start)
        return JsonFault(path, f"is not UTF-8: byte {bad.start} of the text starts no character")
    if not text.strip():
        return JsonFault("$", "is empty; send a JSON object")
    return JsonFault(locate(text, error.pos), _says(text, error))


def _says(text: str, error: orjson.JSONDecodeError) -> str:
    # The parser may stand on the sign of -Infinity or behind it.
    word = _WORD_FOR_NO_NUMBER.match(text, error.pos) or _WORD_FOR_NO_NUMBER.match(
        text, max(error.pos - 1, 0)
    )
    if word:
        return f"is {word.group()}, which JSON has no number for; send finite numbers"
    if error.msg in _SAYS:
        return _SAYS[error.msg]
    return f"is not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
