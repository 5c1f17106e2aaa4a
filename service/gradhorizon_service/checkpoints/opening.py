"""Open a checkpoint: recognise it by its first bytes, whatever it is called, and hand it to its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..formats.npy import MAGIC as NPY_MAGIC
from .checkpoint import Checkpoint, Read
from .errors import CheckpointFault, Damaged, NotRecognised, Unsafe, Unsupported, shown
from .limits import ReadLimits
from .readers.flax import read_flax, starts_as_flax
from .readers.hdf5 import read_hdf5
from .readers.keras import is_keras, read_keras
from .readers.npy import read_npy, read_npz
from .readers.onnx import read_onnx, starts_as_onnx
from .readers.safetensors import read_safetensors, starts_as_safetensors
from .readers.shards import SUFFIX, read_shards
from .readers.torch import is_torch, read_torch
from .session import Session
from .wire.archive import MAGIC as ZIP_MAGIC
from .wire.archive import Archive, read_archive
from .wire.content import File
from .wire.hdf5 import MAGIC as HDF5_MAGIC

READ_HERE = (
    "safetensors (also sharded, by its index), NumPy .npz and .npy, PyTorch .pt state dicts, Keras .keras and .h5, "
    "ONNX, and Flax msgpack"
)

_HEAD = 512

_REFUSED: tuple[tuple[bytes, type[CheckpointFault], str], ...] = (
    (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        Unsupported,
        (
            "is a PyTorch file from before version 1.6, which is a bare pickle; load it in PyTorch and save its "
            "state_dict again, with torch.save or as safetensors"
        ),
    ),
    *(
        (
            bytes([0x80, protocol]),
            Unsafe,
            "is a bare pickle, which could run code and is never loaded; save safetensors",
        )
        for protocol in (2, 3, 4, 5)
    ),
    (b"PK\x05\x06", Damaged, "is an empty zip archive"),
    (
        b"version https://git-lfs",
        Unsupported,
        "is a Git LFS pointer, not the file itself; run `git lfs pull`",
    ),
    (b"\x1f\x8b", Unsupported, "is compressed by gzip; decompress it"),
    (b"\x28\xb5\x2f\xfd", Unsupported, "is compressed by zstd; decompress it"),
    (b"\xfd7zXZ", Unsupported, "is compressed by xz; decompress it"),
    (b"BZh", Unsupported, "is compressed by bzip2; decompress it"),
    (b"GGUF", Unsupported, "is a GGUF file, which is not read; convert it to safetensors"),
    (b"<", NotRecognised, "is a web page or XML, not a checkpoint; look at what was downloaded"),
)
"""First bytes of files that people have and that are not read: what is said about them."""


def open_checkpoint(path: Path, limits: ReadLimits | None = None) -> Checkpoint:
    """Open a file, the index of a sharded model or the folder that holds one; raises CheckpointFault or OSError.

    Headers are read and checked now, tensors when they are asked for. Close it, or use it in a `with` statement.
    """
    session = Session(limits or ReadLimits())
    try:
        read = _read(session.open(_main_file(Path(path))), session)
    except BaseException:
        session.close()
        raise
    return Checkpoint(read.format, read.tensors, read.metadata, read.layers, session)


def _main_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for pattern in (f"*{SUFFIX}", "*.safetensors"):
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            names = ", ".join(shown(place.name) for place in found[:4])
            raise NotRecognised(f"is a folder with several checkpoints, {names}; name one of them")
        if found:
            return found[0]
    raise NotRecognised(f"is a folder without a *{SUFFIX} or a .safetensors file")


def _read(file: File, session: Session) -> Read:
    head = file.read(0, min(_HEAD, file.size))
    if not head:
        raise Damaged("is empty")
    for start, kind, message in _REFUSED:
        if head.startswith(start) and not _is_a_length_and_a_header(head):
            raise kind(message)
    for recognised, reader in _READERS:
        if recognised(head):
            return reader(file, session)
    raise NotRecognised(f"is in no format that is read here: {READ_HERE}")


def _is_a_length_and_a_header(head: bytes) -> bool:
    """Whether a safetensors header below a terabyte is announced: its length may begin like a pickle, or like gzip."""
    return starts_as_safetensors(head) and head[5:8] == bytes(3)


def _read_zip(file: File, session: Session) -> Read:
    archive = read_archive(file, session.limits)
    for recognised, reader in _ARCHIVES:
        if recognised(archive):
            return reader(archive, session)
    names = ", ".join(shown(name) for name in list(archive.members)[:4])
    raise NotRecognised(
        f"is a zip archive of {names or 'nothing'}, which is no checkpoint; read are {READ_HERE}"
    )


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[File, Session], Read]], ...] = (
    (lambda head: head.startswith(ZIP_MAGIC), _read_zip),
    (lambda head: head.startswith(NPY_MAGIC), read_npy),
    (lambda head: head.startswith(HDF5_MAGIC), read_hdf5),
    (starts_as_safetensors, read_safetensors),
    (lambda head: head.lstrip().startswith(b"{"), read_shards),
    (starts_as_onnx, read_onnx),
    (starts_as_flax, read_flax),
)
"""How a file starts -> its reader; the first that fits is asked."""

_ARCHIVES: tuple[tuple[Callable[[Archive], bool], Callable[[Archive, Session], Read]], ...] = (
    (is_torch, read_torch),
    (is_keras, read_keras),
    (lambda archive: all(name.endswith(".npy") for name in archive.members), read_npz),
)
"""What a zip archive holds -> its reader."""
