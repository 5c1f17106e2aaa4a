"""Binary parts by the ending of their file name. Nothing here reads a pickle, and a new format is a new row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import TensorFault
from .npy import read_npy
from .npz import read_npz
from .safetensors import read_safetensors

Array = np.ndarray[Any, np.dtype[Any]]
Content = Array | dict[str, Array]

READERS: dict[str, Callable[[bytes, int], Content]] = {
    ".npy": lambda data, _: read_npy(data),
    ".npz": read_npz,
    ".safetensors": lambda data, _: read_safetensors(data),
}
"""Ending -> reader of (bytes, most bytes after decompression)."""


def read_tensors(file_name: str, data: bytes, max_bytes: int) -> Content:
    """Read one part; an archive gives name -> array. Raises TensorFault."""
    for ending, reader in READERS.items():
        if file_name.lower().endswith(ending):
            return reader(data, max_bytes)
    raise TensorFault(
        f"has a file name that ends in none of {', '.join(READERS)}; other formats are not read"
    )
