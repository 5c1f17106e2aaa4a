"""Zip archives, read without trusting their directory.

The standard reader makes an object of every entry it is told of, believes sizes, and lets members overlap. Here the
directory is bounded before it is parsed, every entry is compared with the header that stands before its bytes, and
members may not share bytes. Nothing is ever extracted.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown
from ..limits import ReadLimits
from .content import Content, File, FileRange, Inflated, read_all

MAGIC = b"PK\x03\x04"
MAX_RATIO = 100
"""Times a large member may grow: weights shrink by a few per cent, a million zeros by a thousand."""
_RATIO_FROM = 2**20
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_LONGEST_COMMENT = 2**16

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")


@dataclass(frozen=True)
class _Entry:
    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


@dataclass(frozen=True)
class Archive:
    """The members of a zip file by name; folders are left out."""

    members: Mapping[str, Content] = field(repr=False)

    def read(self, name: str, max_bytes: int) -> bytes:
        return read_all(self.members[name], max_bytes, shown(name))


def read_archive(file: File, limits: ReadLimits) -> Archive:
    """Read the directory; raises Damaged, Unsafe, Unsupported or TooLarge."""
    directory, start = _directory(file, limits)
    entries = list(_entries(directory))
    _check_names(entries)
    _check_sizes(entries, limits)
    members = _contents(file, entries, start)
    return Archive({name: content for name, content in members.items() if not name.endswith("/")})


def _directory(file: File, limits: ReadLimits) -> tuple[bytes, int]:
    """Return the bytes of the directory and where it starts."""
    tail = file.read(
        max(file.size - _END.size - _LONGEST_COMMENT, 0), min(file.size, _END.size + _LONGEST_COMMENT)
    )
    at = _end_record(tail)
    disk, first, here, count, size, start, _ = _END.unpack_from(tail, at)[1:]
    end = file.size - len(tail) + at
    if at >= _LOCATOR_64.size and tail[at - _LOCATOR_64.size :].startswith(b"PK\x06\x07"):
        end = _LOCATOR_64.unpack_from(tail, at - _LOCATOR_64.size)[2]
        signature, _, _, _, disk, first, here, count, size, start = _END_64.unpack(
            file.read(end, _END_64.size)
        )
        if signature != b"PK\x06\x06":
            raise Damaged("is a zip archive whose end record is damaged")
    if (disk, first, here) != (0, 0, count):
        raise Unsupported("is one part of a zip archive in several files")
    if start + size != end or size < count * _ENTRY.size:
        raise Damaged("is a zip archive whose directory is not where its end record says")
    if count > 2 * limits.max_tensors or size > limits.max_header_bytes:
        raise TooLarge(
            f"is a zip archive of {count} members and {size} bytes of names; "
            f"at most {2 * limits.max_tensors} and {limits.max_header_bytes} are read"
        )
    return file.read(start, size), start


def _end_record(tail: bytes) -> int:
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail) and at + _END.size + int.from_bytes(
            tail[at + 20 : at + 22], "little"
        ) == len(tail):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise Damaged("is a zip archive that is cut off: it has no directory at its end")


def _entries(directory: bytes) -> list[_Entry]:
    entries, at = [], 0
    while at < len(directory):
        if at + _ENTRY.size > len(directory):
            raise Damaged("is a zip archive whose directory ends within an entry")
        (signature, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size,
         _, _, _, offset) = _ENTRY.unpack_from(directory, at)  # fmt: skip
        name_at = at + _ENTRY.size
        extra_at = name_at + name_size
        at = extra_at + extra_size + comment_size
        if signature != b"PK\x01\x02" or at > len(directory):
            raise Damaged("is a zip archive whose directory is damaged")
        raw_name = directory[name_at:extra_at]
        size, packed, offset = _wide(directory[extra_at : extra_at + extra_size], size, packed, offset)
        entries.append(_Entry(_decoded(raw_name), raw_name, flags, method, crc, packed, size, offset))
    return entries


def _wide(extra: bytes, *narrow: int) -> tuple[int, ...]:
    """Replace numbers that did not fit 32 bits by those of the zip64 field."""
    fields, at = b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            fields = extra[at + 4 : at + 4 + size]
        at += 4 + size
    numbers = list(narrow)
    for index, number in enumerate(narrow):
        if number == 0xFFFFFFFF:
            if len(fields) < 8:
                raise Damaged("is a zip archive with a large member whose size is missing")
            numbers[index], fields = int.from_bytes(fields[:8], "little"), fields[8:]
    return tuple(numbers)


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise Damaged("is a zip archive with a name that is not UTF-8") from None


def _check_names(entries: list[_Entry]) -> None:
    names = set()
    for entry in entries:
        if entry.name in names:
            raise Damaged(f"is a zip archive with two members called {shown(entry.name)}")
        names.add(entry.name)
        parts = entry.name.split("/")
        if ".." in parts or entry.name.startswith("/") or any(sign in entry.name for sign in "\\\0:"):
            raise Unsafe(f"is a zip archive with a member that would leave its folder, {shown(entry.name)}")


def _check_sizes(entries: list[_Entry], limits: ReadLimits) -> None:
    for entry in entries:
        if entry.flags & _ENCRYPTED:
            raise Unsupported(f"is a zip archive whose member {shown(entry.name)} is encrypted")
        if entry.method not in (_STORED, _DEFLATED):
            raise Unsupported(
                f"is a zip archive whose member {shown(entry.name)} is compressed by method {entry.method}; "
                "stored and deflated members are read"
            )
        if entry.method == _STORED and entry.packed != entry.size:
            raise Damaged(f"is a zip archive whose stored member {shown(entry.name)} has two sizes")
        if entry.size > max(MAX_RATIO * entry.packed, _RATIO_FROM):
            raise TooLarge(
                f"is a zip archive whose member {shown(entry.name)} would grow more than {MAX_RATIO} times; "
                "write it uncompressed"
            )
    inflated = sum(entry.size for entry in entries if entry.method == _DEFLATED)
    if inflated > limits.max_inflated_bytes:
        raise TooLarge(
            f"is a zip archive of {inflated} bytes once decompressed; at most {limits.max_inflated_bytes} are, "
            "write it uncompressed"
        )


def _contents(file: File, entries: list[_Entry], end: int) -> dict[str, Content]:
    contents: dict[str, Content] = {}
    spans = []
    for entry in entries:
        start = _start(file, entry)
        spans.append((entry.offset, start + entry.packed))
        packed = FileRange(file, start, entry.packed)
        contents[entry.name] = (
            packed if entry.method == _STORED else Inflated(packed, entry.size, entry.crc, 0, entry.size)
        )
    spans.sort()
    if any(this[1] > following[0] for this, following in pairwise([*spans, (end, end)])):
        raise Damaged("is a zip archive whose members overlap")
    return contents


def _start(file: File, entry: _Entry) -> int:
    """Return where the bytes of a member start, after the second copy of its header."""
    header = file.read(entry.offset, _LOCAL.size + len(entry.raw_name))
    signature, _, flags, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack_from(header)
    same = (method, flags & _ENCRYPTED, header[_LOCAL.size :]) == (entry.method, 0, entry.raw_name)
    if signature != MAGIC or name_size != len(entry.raw_name) or not same:
        raise Damaged(f"is a zip archive that describes its member {shown(entry.name)} in two ways")
    return entry.offset + _LOCAL.size + int(name_size + extra_size)
