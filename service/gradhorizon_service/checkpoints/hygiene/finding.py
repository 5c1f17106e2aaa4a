"""What is found in the weights of a checkpoint without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing; `value` is what was measured and `threshold` what it was held against."""

    rule: str
    severity: Severity
    says: str
    tensor: str | None = None
    layer: str | None = None
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A layer as its rules see it: the network of a request, and the tensors behind each of its fields."""

    name: str
    cell: str
    network: Mapping[str, Any]
    tensors: Mapping[str, tuple[str, ...]]

    def blocks(self, field: str) -> dict[str, Array]:
        """Return a stacked parameter gate by gate, a plain one whole; nothing where it is not there."""
        array = self.network.get(field)
        if not isinstance(array, np.ndarray):
            return {}
        gates = GATE_NAMES.get(self.cell, UNGATED)
        return dict(zip(gates, np.split(array, len(gates)), strict=True))

    def gate_biases(self) -> dict[str, Array]:
        """Return, gate by gate, what is added whatever the input: the sum of all biases; nothing without any."""
        given = [self.blocks(field) for field in ("bias", "input_bias", "recurrent_bias")]
        given = [blocks for blocks in given if blocks]
        gates = given[0] if given else {}
        return {gate: np.sum([blocks[gate] for blocks in given], axis=0) for gate in gates}


GATE_NAMES = {"lstm": ("input", "forget", "cell", "output"), "gru": ("reset", "update", "new")}
"""Cell -> its gates in the order in which a request stacks them."""
UNGATED = ("units",)
"""What stands for a gate where there are none."""
