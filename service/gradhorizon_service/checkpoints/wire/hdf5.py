"""HDF5 as its first two decades wrote it, and as every Keras file is written: groups, attributes, types and layouts.

The C library takes gigabytes, or the process with it, on some damaged files, so files of strangers are read here. The
newer structures (`libver="latest"`) are refused; none of what is read leads out of the file.
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html; the comments give its sections.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown
from .content import Content, Held
from .window import Window

MAGIC = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 2**64 - 1
_LONGEST_NAME = 1000
_DEEPEST_TREE = 16
_MAX_MESSAGES = 2**24
"""Bytes of all object headers together; those of a large model are some hundred kilobytes."""

_ADVICE = "which is the layout of libver='latest'; write it again with the default of h5py"

# Message types of object headers (IV.A.2)
DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL, LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x11, 0x15


@dataclass(frozen=True)
class Header:
    """The messages of one object, by type: what it is and what is said of it."""

    address: int
    messages: dict[int, list[bytes]] = field(repr=False)

    def one(self, kind: int) -> bytes | None:
        found = self.messages.get(kind)
        return found[0] if found else None

    @property
    def is_group(self) -> bool:
        return SYMBOL_TABLE in self.messages or LINK_INFO in self.messages


@dataclass(frozen=True)
class Datatype:
    """What one element is: class, size in bytes, byte order; `details` are the class's own properties."""

    kind: int
    bits: int
    size: int
    details: bytes

    @property
    def order(self) -> str:
        return ">" if self.bits & 1 else "<"


FIXED, FLOATING, STRING, OPAQUE, ENUMERATION, VARIABLE = 0, 1, 3, 5, 8, 9


class Hdf5:
    """An HDF5 file: object headers by address, links of groups, attributes that are text."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._message_bytes = 0
        self.root = self._superblock()

    def _superblock(self) -> int:
        """Return the address of the root group's header (II.A)."""
        head = self.window.take(0, min(self.window.size, 100))
        if not head.startswith(MAGIC) or len(head) < 100:
            raise Damaged("is no HDF5 file, or is cut off")
        version, sizes = head[8], (head[13], head[14])
        if version in (2, 3):
            raise Unsupported(f"is an HDF5 file with a superblock of version {version}, {_ADVICE}")
        if version not in (0, 1) or sizes != (8, 8):
            raise Damaged("is an HDF5 file whose superblock is damaged")
        start = 24 + 4 * version
        base, _, end, driver, _, root = struct.unpack_from("<6Q", head, start)
        if base or driver != _UNDEFINED:
            raise Unsupported("is an HDF5 file inside another, or in several files")
        if end > self.window.size:
            raise Damaged(f"is an HDF5 file that is cut off: {self.window.size} bytes of {end}")
        return int(root)

    def header(self, address: int) -> Header:
        """Read the header of the object at an address (IV.A.1.a)."""
        prefix = self.window.take(address, 16)
        if prefix.startswith(b"OHDR"):
            raise Unsupported(f"is an HDF5 file with object headers of version 2, {_ADVICE}")
        version, count, size = prefix[0], *struct.unpack_from("<H4xI", prefix, 2)
        if version != 1:
            raise Damaged("is an HDF5 file whose object headers are damaged")
        messages: dict[int, list[bytes]] = {}
        blocks, seen = [(address + 16, size)], {address + 16}
        while blocks and count:
            for kind, message in self._messages(*blocks.pop(0)):
                count -= 1
                if kind == CONTINUATION:
                    at, size = struct.unpack_from("<2Q", _long_enough(message, 16))
                    if at in seen:
                        raise Damaged("is an HDF5 file with an object header that continues in itself")
                    seen.add(at)
                    blocks.append((at, size))
                else:
                    messages.setdefault(kind, []).append(message)
                if not count:
                    break
        return Header(address, messages)

    def _messages(self, at: int, size: int) -> Iterator[tuple[int, bytes]]:
        end = at + size
        while at + 8 <= end:
            self.window.step()
            kind, length, flags = struct.unpack_from("<HHB", self.window.take(at, 8))
            if at + 8 + length > end:
                raise Damaged("is an HDF5 file with a message that reaches beyond its object header")
            if flags & 2:  # a type that is stored elsewhere and has a name of its own
                raise Unsupported("is an HDF5 file with named datatypes, which Keras does not write")
            self._message_bytes += length
            if self._message_bytes > _MAX_MESSAGES:
                raise TooLarge(f"is an HDF5 file with more than {_MAX_MESSAGES} bytes of object headers")
            yield kind, self.window.take(at + 8, length)
            at += 8 + length

    def links(self, group: Header) -> Iterator[tuple[str, int]]:
        """Yield name and address of everything in a group; raises for links that lead elsewhere."""
        table = group.one(SYMBOL_TABLE)
        if table is not None:
            tree, heap = struct.unpack_from("<2Q", _long_enough(table, 16))
            yield from self._symbols(tree, self._heap(heap))
        info = group.one(LINK_INFO)
        if info is not None:
            place = 2 + (8 if len(info) > 1 and info[1] & 1 else 0)
            if struct.unpack_from("<Q", _long_enough(info, place + 8), place)[0] != _UNDEFINED:
                raise Unsupported(f"is an HDF5 file with links in a heap, {_ADVICE}")
        for message in group.messages.get(LINK, []):
            yield _link(message)

    def _heap(self, address: int) -> tuple[int, int]:
        """Return where the names of a group are, and how many bytes of them (III.D)."""
        heap = self.window.take(address, 32)
        size, _, start = struct.unpack_from("<3Q", heap, 8)
        if not heap.startswith(b"HEAP") or start + size > self.window.size:
            raise Damaged("is an HDF5 file with a group whose names are damaged")
        return start, size

    def _symbols(self, tree: int, heap: tuple[int, int]) -> Iterator[tuple[str, int]]:
        """Yield the entries of an old group (III.B, III.C)."""
        for node in self.leaves(tree, 0, 8):
            head = self.window.take(node[1], 8)
            if not head.startswith(b"SNOD"):
                raise Damaged("is an HDF5 file with a group that is damaged")
            for index in range(int.from_bytes(head[6:8], "little")):
                self.window.step()
                entry = self.window.take(node[1] + 8 + 40 * index, 40)
                name_at, address, cache = struct.unpack_from("<2QI", entry)
                name = self._name(heap, name_at)
                if cache == 2:
                    raise Unsupported(
                        f"holds {shown(name)} as a soft link; only datasets themselves are read"
                    )
                yield name, address

    def _name(self, heap: tuple[int, int], offset: int) -> str:
        start, size = heap
        if offset >= size:
            raise Damaged("is an HDF5 file with a group whose names are damaged")
        text = self.window.take(start + offset, min(_LONGEST_NAME + 1, size - offset))
        return _text(text)

    def leaves(self, address: int, kind: int, key_size: int, depth: int = 0) -> Iterator[tuple[bytes, int]]:
        """Yield key and address of every leaf of a tree of version 1 (III.A.1)."""
        head = self.window.take(address, 24)
        if not head.startswith(b"TREE") or head[4] != kind or depth > _DEEPEST_TREE:
            raise Damaged("is an HDF5 file with an index that is damaged")
        level, used = head[5], int.from_bytes(head[6:8], "little")
        step = key_size + 8
        for index in range(used):
            self.window.step()
            entry = self.window.take(address + 24 + step * index, step)
            child = int.from_bytes(entry[key_size:], "little")
            if level:
                yield from self.leaves(child, kind, key_size, depth + 1)
            else:
                yield entry[:key_size], child

    def text(self, thing: Header, name: str, max_bytes: int) -> str | None:
        """Return an attribute that is one string, None where there is none (IV.A.2.m)."""
        for message in thing.messages.get(ATTRIBUTE, []):
            found = _attribute(message)
            if found is not None and found[0] == name:
                return self._string(found[1], found[2], max_bytes, name)
        return None

    def _string(self, kind: Datatype, data: bytes, max_bytes: int, name: str) -> str | None:
        if kind.kind == STRING:
            return _text(data[: kind.size])
        if kind.kind != VARIABLE or kind.bits & 0x0F != 1:
            return None
        size, address, index = struct.unpack_from("<IQI", _long_enough(data, 16))
        if size > max_bytes:
            raise TooLarge(f"has an attribute {name} of more than {max_bytes} bytes")
        return _text(self._shared(address, index)[:size]) if size else ""

    def _shared(self, address: int, index: int) -> bytes:
        """Return one object of a global heap (III.E)."""
        head = self.window.take(address, 16)
        end = address + int.from_bytes(head[8:], "little")
        if not head.startswith(b"GCOL") or end > self.window.size:
            raise Damaged("is an HDF5 file whose texts are damaged")
        at = address + 16
        while at + 16 <= end:
            self.window.step()
            number, size = struct.unpack_from("<H6xQ", self.window.take(at, 16))
            if size > end - at - 16 or not number:
                break
            if number == index:
                return self.window.take(at + 16, size)
            at += 16 + (size + 7) // 8 * 8
        raise Damaged("is an HDF5 file whose texts are damaged")


def _long_enough(message: bytes, size: int) -> bytes:
    if len(message) < size:
        raise Damaged("is an HDF5 file with a message that ends early")
    return message


def _text(data: bytes) -> str:
    try:
        return data.partition(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError:
        raise Damaged("is an HDF5 file with a text that is not UTF-8") from None


def _link(message: bytes) -> tuple[str, int]:
    """Return name and address of a hard link in a group of the newer kind (IV.A.2.g)."""
    flags = _long_enough(message, 4)[1]
    at = 2
    kind = message[at] if flags & 8 else 0
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(_long_enough(message, at + width)[at : at + width], "little")
    at += width
    name = _text(_long_enough(message, at + size)[at : at + size])
    if kind == 1:
        raise Unsupported(f"holds {shown(name)} as a soft link; only datasets themselves are read")
    if kind:
        raise Unsafe(f"holds {shown(name)} as a link to another file, which is never followed")
    return name, int.from_bytes(_long_enough(message, at + size + 8)[at + size : at + size + 8], "little")


def _attribute(message: bytes) -> tuple[str, Datatype, bytes] | None:
    """Return name, type and bytes of an attribute; None for an array, which nothing here needs."""
    version, _, name_size, type_size, space_size = struct.unpack_from("<2B3H", _long_enough(message, 8))
    if version not in (1, 2, 3):
        raise Damaged("is an HDF5 file with an attribute that is damaged")
    at = 8 + (version == 3)
    pieces = []
    for size in (name_size, type_size, space_size):
        pieces.append(_long_enough(message, at + size)[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    name, kind, space = pieces
    return (_text(name), datatype(kind), message[at:]) if shape_of(space) == () else None


def datatype(message: bytes) -> Datatype:
    """Read a datatype (IV.A.2.d)."""
    first, size = _long_enough(message, 8)[0], int.from_bytes(message[4:8], "little")
    return Datatype(first & 0x0F, int.from_bytes(message[1:4], "little"), size, message[8:])


def shape_of(message: bytes) -> tuple[int, ...] | None:
    """Read a dataspace; None where there is no number at all, not even one (IV.A.2.b)."""
    version, rank = _long_enough(message, 4)[:2]
    if version not in (1, 2):
        raise Damaged("is an HDF5 file with a shape that is damaged")
    if version == 2 and message[3] == 2:
        return None
    start = 8 if version == 1 else 4
    return struct.unpack_from(f"<{rank}Q", _long_enough(message, start + 8 * rank), start)


@dataclass(frozen=True)
class Layout:
    """Where the numbers of a dataset stand: in one stretch, or in chunks of a shape behind filters."""

    content: Content | None
    chunk: tuple[int, ...] = ()
    tree: int = _UNDEFINED


def layout_of(message: bytes, window: Window) -> Layout:
    """Read a layout (IV.A.2.i)."""
    version, kind = _long_enough(message, 2)[:2]
    if version == 4 and kind == 3:
        raise Unsafe("puts numbers together from other files, which are never opened")
    if version != 3:
        raise Unsupported(f"is an HDF5 file with a layout of version {version}, {_ADVICE}")
    if kind == 0:
        size = int.from_bytes(message[2:4], "little")
        return Layout(Held(_long_enough(message, 4 + size)[4 : 4 + size]))
    if kind == 1:
        address, size = struct.unpack_from("<2Q", _long_enough(message, 18), 2)
        return Layout(None if address == _UNDEFINED else window.range(address, size))
    if kind != 2:
        raise Damaged("is an HDF5 file with a layout that is damaged")
    rank = _long_enough(message, 11)[2]
    tree = int.from_bytes(message[3:11], "little")
    return Layout(None, struct.unpack_from(f"<{rank}I", _long_enough(message, 11 + 4 * rank), 11), tree)


def filters_of(message: bytes) -> list[int]:
    """Return the filters that were applied, in their order (IV.A.2.l)."""
    version, count = _long_enough(message, 2)[:2]
    at, found = (8 if version == 1 else 2), []
    for _ in range(count):
        code = int.from_bytes(_long_enough(message, at + 2)[at : at + 2], "little")
        named = version == 1 or code >= 256
        name_size = int.from_bytes(message[at + 2 : at + 4], "little") if named else 0
        at += 4 if named else 2
        values = int.from_bytes(_long_enough(message, at + 4)[at + 2 : at + 4], "little")
        at += 4 + (-(-name_size // 8) * 8 if version == 1 else name_size) + 4 * values
        at += 4 if version == 1 and values % 2 else 0
        found.append(code)
    return found
