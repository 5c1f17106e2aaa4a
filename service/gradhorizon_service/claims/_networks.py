"""Parts of requests that several claims send, in the words of the contract."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]


def square(family: str, size: int, seed: int, gain: float = 1.0) -> Body:
    """A random square matrix."""
    return {"source": "ensemble", "family": family, "size": size, "gain": gain, "seed": seed}


def rectangle(family: str, rows: int, columns: int, seed: int, gain: float = 1.0) -> Body:
    """A random matrix of other shape."""
    return {"source": "ensemble", "family": family, "shape": [rows, columns], "gain": gain, "seed": seed}


def symmetric_or_not(eigenvalues: list[float], condition: float, seed: int) -> Body:
    """A matrix with these eigenvalues: symmetric at condition 1, else with eigenvectors of that condition."""
    source: Body = {"source": "spectrum", "eigenvalues": eigenvalues, "seed": seed}
    return source if condition == 1.0 else {**source, "basis": "nonnormal", "condition": condition}
