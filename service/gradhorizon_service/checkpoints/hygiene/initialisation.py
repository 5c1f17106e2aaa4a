"""Does a layer look as if it had never been trained: PyTorch's uniform distribution, Keras's orthogonal matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .finding import Array, Finding, Subject

SIGNIFICANCE = 1.63
"""Kolmogorov's statistic sqrt(n) D exceeds it once in a hundred draws."""
_FEWEST = 64
"""Numbers below which a distribution cannot be told."""
_ROUNDING = 1e-3
"""Weights come in half precision at worst."""


def default_initialisation(layer: Subject) -> Iterator[Finding]:
    """Report the framework whose fresh layer this looks like, or nothing."""
    if layer.cell not in ("rnn", "lstm", "gru"):
        return
    for looks in (_torch, _keras):
        found = looks(layer)
        if found is not None:
            yield found
            return


def _torch(layer: Subject) -> Finding | None:
    """U(-1/sqrt(H), 1/sqrt(H)) for all weights and biases; H is the number of units, also with a projection."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[layer.cell]
    names = ("weights", "input_weights", "input_bias", "recurrent_bias", "projection")
    given = [array for name in names if isinstance(array := layer.network.get(name), np.ndarray)]
    if "bias" in layer.network or len(given) < 2:
        return None
    values = np.concatenate([np.ravel(array) for array in given])
    bound = 1.0 / np.sqrt(len(layer.network["weights"]) / gates)
    if len(values) < _FEWEST or np.abs(values).max() > bound * (1.0 + _ROUNDING):
        return None
    statistic = _uniform_distance(values, bound)
    if statistic > SIGNIFICANCE:
        return None
    return Finding(
        "default_initialisation",
        "warning",
        f"looks like PyTorch's default initialisation: {len(values)} weights and biases fit the uniform distribution "
        f"on +-1/sqrt(H) = {bound:.4g}; was it trained?",
        layer=layer.name,
        value=statistic,
        threshold=SIGNIFICANCE,
    )


def _uniform_distance(values: Array, bound: float) -> float:
    """Kolmogorov's statistic sqrt(n) sup |F_n - F| against the uniform distribution on (-bound, bound)."""
    ordered = np.clip((np.sort(values) / bound + 1.0) / 2.0, 0.0, 1.0)
    count = len(ordered)
    steps = np.arange(count + 1) / count
    distance = max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1]))
    return float(np.sqrt(count) * distance)


def _keras(layer: Subject) -> Finding | None:
    """A recurrent kernel (H, gates H) with orthonormal rows, and biases of zero, or one for the forget gate."""
    weights = layer.network["weights"]
    if len(weights) < 2 or not layer.gate_biases():
        return None
    rows = weights.T
    departure = float(np.abs(rows @ rows.T - np.eye(len(rows))).max())
    biases = layer.gate_biases()
    usual = {gate: {"forget": (0.0, 1.0)}.get(gate, (0.0,)) for gate in biases}
    if departure > _ROUNDING or any(
        not any(np.all(biases[gate] == value) for value in usual[gate]) for gate in biases
    ):
        return None
    return Finding(
        "default_initialisation",
        "warning",
        "looks like Keras's default initialisation: the recurrent kernel has orthonormal rows and the biases are those "
        "a new layer has; was it trained?",
        layer=layer.name,
        value=departure,
        threshold=_ROUNDING,
    )
