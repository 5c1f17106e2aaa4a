"""Loss and gradient of many networks at once: the loops over time, written once for every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._types import Array
from .cells import BatchedCell, Parameters
from .losses import LOSSES


class Gradients(NamedTuple):
    """Losses (R,), the gradient of every parameter (R, ...) by name, and whose state gradients were cut, (R,)."""

    losses: Array
    parameters: dict[str, Array]
    cut: Array


@dataclass(frozen=True, eq=False)
class Data:
    """What every run sees: inputs (T, R, B, D) or None, `steps` T, initial h (R, B, N) or None, targets (R, B, ...)."""

    steps: int
    inputs: Array | None
    initial: Array | None
    targets: Array

    def repeated(self, times: int) -> Data:
        """The same for `times` groups of runs side by side."""
        if times == 1:
            return self
        return Data(
            self.steps,
            None if self.inputs is None else np.tile(self.inputs, (1, times, 1, 1)),
            None if self.initial is None else np.tile(self.initial, (times, 1, 1)),
            np.tile(self.targets, (times, *[1] * (self.targets.ndim - 1))),
        )

    def cast(self, dtype: type[np.floating]) -> Data:
        """The same numbers in another precision; labels stay labels."""
        return Data(
            self.steps,
            None if self.inputs is None else self.inputs.astype(dtype, copy=False),
            None if self.initial is None else self.initial.astype(dtype, copy=False),
            self.targets if self.targets.dtype.kind == "i" else self.targets.astype(dtype, copy=False),
        )


@dataclass(frozen=True, eq=False)
class Network:
    """A cell of `hidden_size` N, a readout y = R h_T + r where the parameters hold one, and a loss at the last step."""

    cell: BatchedCell
    hidden_size: int
    loss: str

    def outputs(self, parameters: Parameters, data: Data) -> Array:
        """y of every run and sequence, (R, B, K); h_T itself without a readout."""
        states, _ = self._states(parameters, data)
        return self._read(parameters, states[-1, ..., : self.hidden_size])

    def losses(self, parameters: Parameters, data: Data) -> Array:
        """The loss of every run, (R,)."""
        return LOSSES[self.loss](self.outputs(parameters, data), data.targets)[0]

    def gradients(self, parameters: Parameters, data: Data, cut: Array | None = None) -> Gradients:
        """The loss and the gradient of every parameter of every run; zero for those that are not trained.

        `cut` (R,): every entry of the back-propagated state gradient of a run is cut to that size at every step
        (Graves 2013), infinity for runs that leave it as it is.
        """
        states, records = self._states(parameters, data)
        h = states[-1, ..., : self.hidden_size]
        losses, g_y = LOSSES[self.loss](self._read(parameters, h), data.targets)
        found = self._readout_gradients(parameters, h, g_y)
        were_cut = np.zeros(len(losses), dtype=bool)
        if self.cell.is_trained:
            g_h = g_y @ parameters["readout_weight"] if "readout_weight" in parameters else g_y
            g = np.zeros_like(states[-1])
            g[..., : self.hidden_size] = g_h
            through, were_cut = self._backpropagate(parameters, data, states, records, g, cut)
            found |= through
        for name, values in parameters.items():
            if name not in found:
                found[name] = np.zeros_like(values)
        return Gradients(losses, found, were_cut)

    def _states(self, parameters: Parameters, data: Data) -> tuple[Array, Array]:
        """states (T + 1, R, B, S) and the records of all steps, (T, R, B, P)."""
        runs, batch = data.targets.shape[:2]
        dtype = parameters["weights"].dtype
        S, P = self.cell.state_size(self.hidden_size), self.cell.record_size(self.hidden_size)
        states = np.empty((data.steps + 1, runs, batch, S), dtype)
        records = np.empty((data.steps, runs, batch, P), dtype)
        states[0] = 0.0
        if data.initial is not None:
            states[0, ..., : self.hidden_size] = data.initial
        drive = self.cell.drive(parameters, data.inputs)
        for t in range(data.steps):
            pushed = None if drive is None else drive[min(t, len(drive) - 1)]
            self.cell.advance(parameters, states[t], pushed, states[t + 1], records[t])
        return states, records

    def _backpropagate(
        self, parameters: Parameters, data: Data, states: Array, records: Array, g: Array, cut: Array | None
    ) -> tuple[Mapping[str, Array], Array]:
        linearised = self.cell.linearise(parameters, states, records)
        deltas = np.empty((*records.shape[:3], self.cell.delta_size(self.hidden_size)), states.dtype)
        limit = None if cut is None else cut[:, None, None].astype(states.dtype)
        were_cut = np.zeros(states.shape[1], dtype=bool)
        for t in range(data.steps - 1, -1, -1):
            if limit is not None:
                were_cut |= (np.abs(g) > limit).any(axis=(1, 2))
                g = np.clip(g, -limit, limit)
            g = linearised.pull(t, g, deltas[t])
        return linearised.gradients(deltas, states, data.inputs), were_cut

    def _read(self, parameters: Parameters, h: Array) -> Array:
        if "readout_weight" not in parameters:
            return h
        outputs = h @ np.swapaxes(parameters["readout_weight"], 1, 2)
        return np.asarray(outputs + parameters["readout_bias"][:, None, :])

    def _readout_gradients(self, parameters: Parameters, h: Array, g_y: Array) -> dict[str, Array]:
        if "readout_weight" not in parameters:
            return {}
        return {"readout_weight": np.swapaxes(g_y, 1, 2) @ h, "readout_bias": g_y.sum(axis=1)}
