"""`.npz`: a zip of `.npy` members. Every count and size is bounded before a byte is decompressed."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any, cast

import numpy as np

from .errors import TensorFault
from .npy import read_npy

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytes | bytearray | memoryview

MAX_MEMBERS = 10_000
MAX_RATIO = 100
"""Times a member may grow: weights shrink by a few per cent, a million zeros by a thousand."""
_MAX_DIRECTORY = 2**20
_PIECE = 2**20
_END = struct.Struct("<4s4H2LH")
_LOCATOR_64 = b"PK\x06\x07"


def read_npz(data: bytes, max_bytes: int) -> dict[str, Array]:
    """Return every array by name, raises TensorFault; `max_bytes` bounds all of them together, decompressed."""
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, max_bytes)
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        if isinstance(error, TensorFault):
            raise
        raise TensorFault("is a damaged .npz file; write it again with numpy.savez") from None


def _check_directory(data: bytes) -> None:
    """Bound the directory ourselves: the zip reader makes an object of every entry, as many as there are.

    Only the plain end record is accepted, in the last 22 bytes, so that the zip reader sees the one we saw.
    """
    if not data.startswith(b"PK"):
        raise TensorFault("is no .npz file: it does not start as a zip archive; write it with numpy.savez")
    if len(data) < _END.size or data[-_END.size :][:4] != b"PK\x05\x06" or data[-2:] != b"\0\0":
        raise TensorFault(
            "is a damaged .npz file, or a zip archive with a comment; write it with numpy.savez"
        )
    if data[-_END.size - 20 :][:4] == _LOCATOR_64:
        raise TensorFault("is a zip64 archive; numpy.savez writes none below 4 GB")
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack(data[-_END.size :])
    if entries > MAX_MEMBERS or directory_bytes > _MAX_DIRECTORY:
        raise TensorFault(f"holds {entries} members; at most {MAX_MEMBERS} (and 1 MB of names) are read")


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise TensorFault("holds two members of the same name")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise TensorFault("holds a member that is no .npy; an .npz holds arrays only")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise TensorFault("holds a member that is encrypted or compressed other than by deflate")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1):
            raise TensorFault(f"holds a member that grows more than {MAX_RATIO} times; send it uncompressed")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise TensorFault(f"holds {total} bytes of arrays; at most {max_bytes} are read")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    content = np.empty(member.file_size, dtype=np.uint8).data
    left = content
    with cast("zipfile.ZipExtFile", archive.open(member)) as stream:
        while got := stream.readinto(left[:_PIECE]):  # in pieces: other threads want Python's lock too
            left = left[got:]
    if left:
        raise TensorFault("is a damaged .npz file: a member ends early")
    try:
        return read_npy(content)
    except TensorFault as fault:
        raise TensorFault(f"holds a member that {fault.message}") from None
