"""The sizes a server accepts. Every number is a setting; a refusal names the one it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Defaults suit two cores and a few gigabytes."""

    max_size: int = 2048
    """Rows or columns of a dense matrix."""
    max_modes: int = 100_000
    """Eigenvalues of a spectrum that is never formed into a matrix."""
    max_depth: int = 10_000_000
    """Steps of a recurrence, burn-in included."""
    max_layers: int = 10_000
    """Layers of a feed-forward network."""
    max_batch: int = 1024
    """Sequences."""
    max_points: int = 4096
    """Points of a reported series."""
    max_lags: int = 4096
    """Lags asked for by name."""
    max_tensors: int = 4096
    """Gradients to clip, by name."""
    max_norms: int = 10_000_000
    """Norms of a history."""
    max_values: int = 4_194_304
    """Numbers of clipped gradients in one answer."""
    sync_seconds: float = 60.0
    """Estimated computing time of an answer."""
    memory_bytes: int = 2 << 30
    """Estimated memory of a computation."""
