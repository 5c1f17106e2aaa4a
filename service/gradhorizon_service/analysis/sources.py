"""Wire sources to worker sources: shapes at once, matrices later and elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel

from gradhorizon_service.worker.seeds import derive_seed
from gradhorizon_service.worker.sources import SOURCES, Rescale, Source


def worker_source(source: Any) -> Source:
    """Build the worker's source from a filled wire source: the same names, nested models as worker objects."""
    fields = {name: getattr(source, name) for name in type(source).model_fields if name != "source"}
    if fields.get("distribution") is not None:
        fields["distribution"] = fields["distribution"].model_dump()
    if source.source == "ensemble":
        fields["shape"] = tuple(fields["shape"] or (0, 0))
    if source.rescale is not None:
        fields["rescale"] = Rescale(source.rescale.to, source.rescale.value)
    return SOURCES[source.source](**fields)


def shape_of(source: Any) -> tuple[int, int]:
    """(rows, columns) of a wire source, without building the matrix."""
    if source.source == "matrix":
        rows, columns = source.values.shape
        return (columns, rows) if source.transpose else (rows, columns)
    if source.source == "ensemble":
        rows, columns = source.shape or (source.size, source.size)
        return rows, columns
    if source.source == "singular_values":
        return _factored_shape(source)
    size = source.distribution.size if source.eigenvalues is None else len(source.eigenvalues)
    return size, size


def _factored_shape(source: Any) -> tuple[int, int]:
    count = len(source.values)
    left = len(source.left) if isinstance(source.left, np.ndarray) else count
    right = len(source.right) if isinstance(source.right, np.ndarray) else count
    return left, right


def is_spectral(network: Any) -> bool:
    """Whether a network is a linear recurrence in its own eigenbasis, which no matrix is formed for."""
    if network.cell == "diagonal":
        return True
    weights = getattr(network, "weights", None)
    return network.cell == "linear" and getattr(weights, "basis", None) == "identity"


def seeded(value: Any, seed: int, role: str) -> Any:
    """The same model with every missing seed derived from the request's seed and the role of the part."""
    if isinstance(value, list):
        return [seeded(item, seed, f"{role}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, BaseModel):
        return value
    update: dict[str, Any] = {}
    for name in type(value).model_fields:
        found = getattr(value, name)
        if name == "seed" and found is None:
            update[name] = derive_seed(seed, role)
        elif isinstance(found, (BaseModel, list)):
            update[name] = seeded(found, seed, f"{role}.{name}")
    return value.model_copy(update=update) if update else value
