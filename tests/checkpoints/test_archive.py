"""Zip archives: the directory is not believed."""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from checkpoint_files import npy, patched, zipped
from gradhorizon_service.checkpoints import (
    CheckpointFault,
    Damaged,
    ReadLimits,
    TooLarge,
    Unsafe,
    Unsupported,
)
from gradhorizon_service.checkpoints.wire.archive import read_archive
from gradhorizon_service.checkpoints.wire.content import File, read_all

Fault = Callable[..., CheckpointFault]

ONE = npy(np.ones(1))


def with_names(*names: str) -> bytes:
    """Members of these names, whatever the standard writer would make of them."""
    places = [f"{index:0{len(name.encode())}d}" for index, name in enumerate(names)]
    data = zipped(dict.fromkeys(places, ONE))
    for place, name in zip(places, names, strict=True):
        data = data.replace(place.encode(), name.encode())
    return data


@pytest.mark.parametrize("name", ["../w.npy", "a/../../w.npy", "/etc/w.npy", "a\\w.npy", "C:w.npy"])
def test_a_member_that_would_leave_its_folder_is_refused(name: str, fault: Fault) -> None:
    refused = fault(with_names(name))
    assert isinstance(refused, Unsafe)
    assert "leave its folder" in refused.message


def test_two_members_of_one_name_are_refused(fault: Fault) -> None:
    assert "two members called 'same.npy'" in fault(with_names("same.npy", "same.npy")).message


def directory_field(data: bytes, offset: int, value: bytes) -> bytes:
    return patched(data, data.rindex(b"PK\x01\x02") + offset, value)


PLAIN = zipped({"w.npy": ONE})

REFUSED: dict[str, tuple[bytes, type[CheckpointFault], str]] = {
    "encrypted": (directory_field(PLAIN, 8, b"\1"), Unsupported, "encrypted"),
    "lzma": (zipped({"w.npy": ONE}, zipfile.ZIP_LZMA), Unsupported, "method 14"),
    "another name inside": (patched(PLAIN, 30, b"v"), Damaged, "in two ways"),
    "another method inside": (patched(PLAIN, 8, b"\x08"), Damaged, "in two ways"),
    "a stored member of two sizes": (directory_field(PLAIN, 24, b"\xff"), Damaged, "two sizes"),
    "a member that starts beyond the file": (
        directory_field(PLAIN, 42, b"\xff\xff\xff\x0f"),
        Damaged,
        "cut off",
    ),
    "a directory elsewhere": (patched(PLAIN, -6, b"\x01"), Damaged, "directory is not where"),
    "a directory of another size": (patched(PLAIN, -10, b"\x01"), Damaged, "directory is not where"),
    "more entries than there are": (
        patched(PLAIN, -14, b"\xff\xff\xff\xff"),
        Damaged,
        "directory is not where",
    ),
    "several disks": (patched(PLAIN, -18, b"\1"), Unsupported, "several files"),
    "a zip64 size that is missing": (directory_field(PLAIN, 24, b"\xff" * 4), Damaged, "size is missing"),
    "a bomb": (
        zipped({"w.npy": npy(np.zeros(2**20))}, zipfile.ZIP_DEFLATED),
        TooLarge,
        "more than 100 times",
    ),
}


@pytest.mark.parametrize(("data", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_an_archive_that_contradicts_itself_is_refused(
    data: bytes, kind: type[CheckpointFault], reason: str, fault: Fault
) -> None:
    refused = fault(data)
    assert reason in refused.message
    assert isinstance(refused, kind)


def test_members_that_share_bytes_are_refused(fault: Fault) -> None:
    """So does a bomb that is small, not nested, and made of one kernel behind a thousand names."""
    inner = zipped({"b.npy": ONE})[: 30 + 5 + len(ONE)]
    outer = (
        struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, len(inner), len(inner), 5, 0)
        + b"a.npy"
        + inner
    )
    entries = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, size, size, 5, 0, 0, 0, 0, 0, offset)
        + name
        for name, size, offset in ((b"a.npy", len(inner), 0), (b"b.npy", len(ONE), 35))
    )
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entries), len(outer), 0)
    assert fault(outer + entries + end).message == "is a zip archive whose members overlap"


def test_all_members_together_are_bounded_once_decompressed(fault: Fault) -> None:
    data = zipped({f"{index}.npy": npy(np.arange(100.0)) for index in range(9)}, zipfile.ZIP_DEFLATED)
    assert "at most 8000" in fault(data, ReadLimits(max_inflated_bytes=8000)).message


def test_the_directory_is_bounded_before_it_is_parsed(fault: Fault) -> None:
    data = zipped({f"{index}.npy": ONE for index in range(30)})
    assert "at most 20" in fault(data, ReadLimits(max_tensors=10)).message
    assert "bytes of names" in fault(data, ReadLimits(max_header_bytes=100)).message


def test_an_archive_with_a_comment_and_with_zip64_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"PK\x05\x06 is no end"
        archive.mkdir("folder")
        with archive.open("folder/member", "w", force_zip64=True) as stream:
            stream.write(b"content")
    with File(path) as file:
        members = read_archive(file, ReadLimits()).members
        assert {name: read_all(content) for name, content in members.items()} == {"folder/member": b"content"}
