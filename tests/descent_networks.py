"""Small networks for the tests of descents: one case for every cell, parameters drawn for several runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradhorizon_service.worker.descents.cells import CELLS
from gradhorizon_service.worker.descents.network import Data, Network

Array = np.ndarray[Any, np.dtype[Any]]

RUNS, STEPS, BATCH, SIZE, WIDTH, CLASSES = 3, 7, 4, 3, 2, 3


@dataclass(frozen=True)
class Case:
    """A cell by its name with its options."""

    cell: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def network(self, loss: str = "cross_entropy") -> Network:
        return Network(CELLS[self.cell](**self.options), SIZE, loss)

    def parameters(self, seed: int = 0, outputs: int = CLASSES) -> dict[str, Array]:
        rng = np.random.default_rng(seed)
        shapes = CELLS[self.cell](**self.options).shapes(SIZE, WIDTH)
        shapes |= {"readout_weight": (outputs, SIZE), "readout_bias": (outputs,)}
        return {name: 0.7 * rng.standard_normal((RUNS, *shape)) for name, shape in shapes.items()}


CASES: Mapping[str, Case] = {
    "rnn": Case("rnn"),
    "rnn sigmoid": Case("rnn", {"activation": "sigmoid"}),
    "rnn softsign": Case("rnn", {"activation": "softsign"}),
    "rnn elu": Case("rnn", {"activation": "elu", "alpha": 1.7}),
    "leaky": Case("leaky", {"leak_rate": 0.3}),
    "residual": Case("residual", {"scale": -0.4, "activation": "gelu"}),
    "skip inside": Case("skip", {"delay": 3}),
    "skip outside": Case("skip", {"delay": 2, "combine": "outside"}),
    "skip longer than the sequence": Case("skip", {"delay": STEPS + 2, "activation": "softplus"}),
    "echo_state": Case("echo_state", {"leak_rate": 0.5}),
    "lstm": Case("lstm"),
    "gru": Case("gru"),
}


def data(seed: int = 1, outputs: int = 0) -> Data:
    """Labels, or `outputs` real targets."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((STEPS, RUNS, BATCH, WIDTH))
    labels = rng.integers(0, CLASSES, (RUNS, BATCH))
    return Data(STEPS, inputs, None, rng.standard_normal((RUNS, BATCH, outputs)) if outputs else labels)
