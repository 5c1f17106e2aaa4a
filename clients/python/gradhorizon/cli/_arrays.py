"""Files of arrays: .npy, .npz and .safetensors, read without ever running what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..schemas.arrays import Array


class CannotRead(Exception):
    """A file, or an option about it, cannot be made into a request; the message says what to change."""


@dataclass(frozen=True)
class ArrayFile:
    """The arrays of a file: their shapes at once, their numbers when asked for."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    load: Callable[[str], Array]

    def __getitem__(self, name: str) -> Array:
        if name not in self.shapes:
            raise CannotRead(f"{self.path} holds no array {name!r}; it holds\n{self.listing()}")
        return self.load(name)

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def listing(self) -> str:
        """Return the names and shapes, one array a line."""
        return "\n".join(f"  {name}  {list(shape)}" for name, shape in sorted(self.shapes.items()))


def open_arrays(path: Path) -> ArrayFile:
    """Open a file by its suffix; raises CannotRead."""
    if path.suffix not in _READERS:
        known = ", ".join(_READERS)
        raise CannotRead(f"{path}: a file of arrays ends in one of {known}; {_advice(path.suffix)}")
    try:
        return _READERS[path.suffix](path)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise CannotRead(f"{path}: {error}") from error


def read_array(path: Path) -> Array:
    """Return the only array of a file."""
    arrays = open_arrays(path)
    if len(arrays.shapes) != 1:
        raise CannotRead(f"{path} holds {len(arrays.shapes)} arrays where one is needed:\n{arrays.listing()}")
    return arrays[next(iter(arrays.shapes))]


def _open_npy(path: Path) -> ArrayFile:
    import numpy as np

    with path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return ArrayFile(path, {path.stem: array.shape}, lambda _: array)


def _open_npz(path: Path) -> ArrayFile:
    import numpy as np

    # Opened here and not by np.load, which would take any of its formats and leaves the file open where it fails.
    with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return ArrayFile(path, {name: array.shape for name, array in arrays.items()}, arrays.__getitem__)


def _open_safetensors(path: Path) -> ArrayFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CannotRead(f"{path}: {error}") from error
    return ArrayFile(path, shapes, lambda name: _load_tensor(path, name))


def _load_tensor(path: Path, name: str) -> Array:
    from safetensors import safe_open

    with safe_open(path, framework="np") as tensors:
        if tensors.get_slice(name).get_dtype() == "BF16":
            return _bfloat16(path, name)
        array: Any = tensors.get_tensor(name)
    return array  # type: ignore[no-any-return]


def _bfloat16(path: Path, name: str) -> Array:
    """Return a bfloat16 tensor as float32, of which it is the upper half; NumPy has no such type."""
    import numpy as np
    from safetensors import deserialize

    tensors = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    halves = np.frombuffer(tensors[name]["data"], dtype="<u2").astype("<u4")
    return (halves << 16).view("<f4").reshape(tensors[name]["shape"])


_READERS: dict[str, Callable[[Path], ArrayFile]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
}


def _advice(suffix: str) -> str:
    if suffix in {".pt", ".pth", ".bin", ".ckpt", ".pkl"}:
        return (
            "a pickle can run code when opened: save the state dict with safetensors.torch.save_file instead"
        )
    return "see the command's --help"
