"""What reading one checkpoint may cost."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 2**20
GIGABYTE = 2**30


@dataclass(frozen=True)
class ReadLimits:
    """Upper bounds, checked before the memory or the time is spent.

    Headers, configurations and pickles of names are held in memory while they are parsed, as objects of up to ten times
    their size; tensors are not, they are read one at a time when asked for.
    """

    max_file_bytes: int = 16 * GIGABYTE
    """Of the file, or of all shards together, and of all tensors together: views can share their bytes."""
    max_tensor_bytes: int = 2 * GIGABYTE
    """Of one tensor, when it is loaded."""
    max_header_bytes: int = 4 * MEGABYTE
    max_inflated_bytes: int = GIGABYTE
    """Of all compressed members of an archive together, decompressed."""
    max_tensors: int = 20_000
    max_values: int = 100_000
    """Numbers and names beside tensors: configurations, epochs, hyper-parameters."""
    max_depth: int = 64
    max_axes: int = 8
