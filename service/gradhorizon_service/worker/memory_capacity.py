"""How much of a random input's past a linear readout recovers from a reservoir's present state.

H. Jaeger, "Short term memory in echo state networks", GMD report 152, 2002: an independent identically distributed
signal u_t drives the network, MC_k is the squared correlation between u_{t-k} and its best linear estimate from h_t,
and MC = sum_k MC_k <= N whatever the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ._types import Array
from .cells import Cell

# Independent sequences, run side by side: the first half trains the readouts, the second half scores them.
_SEQUENCES = 16
# Delays: all that can be remembered at once, twice over, and enough of them for a unit that forgets slowly.
_FEWEST_DELAYS, _MOST_DELAYS = 100, 1000
_SHORTEST_WASHOUT = 400
_FEWEST_STEPS = 250
# Of the squared norm of a standardised state's coordinate; noise-free states hold more than any readout may use.
RIDGE = 1e-9


@dataclass(frozen=True)
class MemoryTask:
    """What is simulated for N units: `washout` steps, then `steps` that count, of every sequence."""

    delays: int
    washout: int
    steps: int
    sequences: int = _SEQUENCES

    @classmethod
    def of(cls, units: int) -> MemoryTask:
        """Four samples a unit to train on at least, and a washout that outlasts the longest delay."""
        delays = min(max(2 * units, _FEWEST_DELAYS), _MOST_DELAYS)
        steps = max(_FEWEST_STEPS, (units + 1) // 2)
        return cls(delays, delays + _SHORTEST_WASHOUT, steps)


@dataclass(frozen=True, eq=False)
class MemoryCapacity:
    """MC_k at the delays k = 0, 1, .., scored on sequences that no readout was trained on."""

    capacity: Array
    train_samples: int
    test_samples: int

    def total(self, units: int) -> float:
        """Their sum; what chance adds above the bound N, or takes off below zero, is left out."""
        return float(np.clip(self.capacity.sum(), 0.0, units))


def memory_capacity(
    cell: Cell, direction: Array, std: float, task: MemoryTask, seed: int
) -> MemoryCapacity | None:
    """Drive a cell with x_t = u_t * direction, u_t normal with this std; None where its state leaves float64.

    MC_k is r^2 on the held-out sequences, less the 1 / samples that chance gives: where nothing is remembered it
    scatters around zero, to either side, so that the sum over many such delays is zero as well.
    """
    signal = np.random.default_rng(seed).standard_normal((task.washout + task.steps, task.sequences))
    states = _states(cell, std * signal[:, :, None] * direction, task.washout)
    if states is None:
        return None
    # Targets (steps, sequences, delays): u_t, u_{t-1}, ..
    windows = np.lib.stride_tricks.sliding_window_view(signal, task.delays, axis=0)[:, :, ::-1]
    targets = windows[task.washout - task.delays + 1 :]
    half = task.sequences // 2
    predicted = _fitted(_flat(states[:, :half]), _flat(targets[:, :half]), _flat(states[:, half:]))
    samples = task.steps * half
    capacity = _capacities(predicted, _flat(targets[:, half:]))
    return MemoryCapacity(capacity, samples, samples)


def _states(cell: Cell, inputs: Array, washout: int) -> Array | None:
    """h_t after the washout, (steps, B, N), from a zero state."""
    steps, batch, _ = inputs.shape
    drive = cell.drive(inputs, steps, batch)
    assert drive is not None, "inputs drive the cell"
    state = np.zeros((batch, cell.state_size))
    kept = np.empty((steps - washout, batch, cell.output_size))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for step in range(steps):
            state, _ = cell.advance(0, state, drive[step])
            if step >= washout:
                kept[step - washout] = state[:, : cell.output_size]
    return kept if np.isfinite(kept).all() else None


def _flat(series: Array) -> Array:
    return series.reshape(-1, series.shape[-1])


def _fitted(states: Array, targets: Array, held_out: Array) -> Array:
    """Ridge regression on standardised states, applied to those held out."""
    largest = np.abs(states).max(axis=0)
    safe = np.where(largest > 0.0, largest, 1.0)
    means = (states / safe).mean(axis=0)
    centred = states / safe - means
    deviations = np.sqrt((centred**2).mean(axis=0))
    scale = np.where(deviations > 0.0, deviations, 1.0)
    X, Z = centred / scale, (held_out / safe - means) / scale
    gram = X.T @ X
    gram[np.diag_indices_from(gram)] += RIDGE * len(X)
    return np.asarray(Z @ cho_solve(cho_factor(gram), X.T @ (targets - targets.mean(axis=0))))


def _capacities(predicted: Array, targets: Array) -> Array:
    """r^2 of each column with its target, adjusted for chance; zero for a constant."""
    P, Q = predicted - predicted.mean(axis=0), targets - targets.mean(axis=0)
    sizes = np.abs(P).max(axis=0)
    P = P / np.where(sizes > 0.0, sizes, 1.0)
    products, squares = (P * Q).sum(axis=0), (P**2).sum(axis=0) * (Q**2).sum(axis=0)
    chance = 1.0 / len(P)
    adjusted = (products**2 / np.where(squares > 0.0, squares, 1.0) - chance) / (1.0 - chance)
    return np.asarray(np.where(squares > 0.0, adjusted, 0.0))
