"""Gates as their biases leave them: how long a unit remembers, and which gates hardly move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .finding import Array, Finding, Subject

USUAL_FORGET_BIAS = 1.0
"""What Gers et al. (2000) and Jozefowicz et al. (2015) start from."""
SATURATED = 6.906754778648554
"""ln 999: beyond it, either way, a sigmoid is within 0.001 of its end."""
_KEEPING = {"lstm": "forget", "gru": "update"}
"""Cell -> the gate that says how much of the state is kept."""


def forget_bias(layer: Subject) -> Iterator[Finding]:
    """The mean bias of the gate that keeps the state, and the time constant it makes of a silent network."""
    if layer.cell not in _KEEPING:
        return
    gate = _KEEPING[layer.cell]
    sign = -1.0 if layer.network.get("update") == "replace" else 1.0  # what replaces keeps the rest
    biases = layer.gate_biases()
    mean = float(np.mean(sign * biases[gate])) if biases else 0.0
    log_kept = -float(np.logaddexp(0.0, -mean))
    kept = np.exp(log_kept)
    steps = f"{-1.0 / log_kept:.3g}" if log_kept < 0.0 else "more than 1e300"
    low = layer.cell == "lstm" and mean < USUAL_FORGET_BIAS
    advice = f"; training usually starts from {USUAL_FORGET_BIAS:g}, where it is 3.2 steps" if low else ""
    yield Finding(
        "forget_bias",
        "info",
        f"the {gate} gate has a mean bias of {mean:.3g}{'' if biases else ' (there is none)'}: without any signal a "
        f"unit keeps {kept:.3g} of its state each step, a time constant of {steps} steps{advice}",
        layer=layer.name,
        value=mean,
        threshold=USUAL_FORGET_BIAS if layer.cell == "lstm" else None,
    )


def saturated_gates(layer: Subject) -> Iterator[Finding]:
    """Gates that their biases alone hold within 0.001 of open or closed; dead ones, that no state can move from there.

    States of tanh cells lie in [-1, 1], so that the state moves a pre-activation by at most the sum of its weights'
    sizes. Inputs can do more: they are not bounded.
    """
    if layer.cell not in _KEEPING or layer.network.get("gate_activation", "sigmoid") != "sigmoid":
        return
    biases, weights = layer.gate_biases(), layer.blocks("weights")
    for gate in biases:
        if gate in ("cell", "new"):
            continue
        held = np.abs(biases[gate]) > SATURATED
        if not held.any():
            continue
        reach = np.abs(weights[gate]).sum(axis=1)
        dead = int(np.count_nonzero(np.abs(biases[gate]) - reach > SATURATED))
        count, units = int(np.count_nonzero(held)), len(held)
        closed = int(np.count_nonzero(biases[gate] < -SATURATED))
        yield Finding(
            "saturated_gates",
            "warning",
            f"the biases hold the {gate} gate of {count} of {units} units within 0.001 of its end ({closed} closed, "
            f"{count - closed} open); no state can move {dead} of them from there",
            layer=layer.name,
            value=count / units,
            threshold=0.0,
        )


def row_findings(layer: Subject) -> Iterator[Finding]:
    """Units of one gate with the very same weights, which training cannot tell apart, and rows that are all zero."""
    fields = [
        name for name in ("weights", "input_weights") if isinstance(layer.network.get(name), np.ndarray)
    ]
    if not fields:
        return
    together = {
        gate: np.hstack([layer.blocks(name)[gate] for name in fields]) for gate in layer.blocks("weights")
    }
    yield from _rows("duplicated_rows", layer, {gate: _duplicates(rows) for gate, rows in together.items()})
    for name in fields:
        found = {gate: int(np.count_nonzero(~rows.any(axis=1))) for gate, rows in layer.blocks(name).items()}
        yield from _rows("zero_rows", layer, found, name)


def _duplicates(rows: Array) -> int:
    """How many rows, of those that are not all zero, are a copy of another one."""
    rows = rows[rows.any(axis=1)]
    return len(rows) - len(np.unique(rows, axis=0)) if len(rows) else 0


_SAYS = {
    "duplicated_rows": "with exactly the weights of another one, so that both compute the same and learn the same",
    "zero_rows": "with only zeros there",
}


def _rows(rule: str, layer: Subject, counts: dict[str, int], field: str | None = None) -> Iterator[Finding]:
    count = sum(counts.values())
    if not count:
        return
    where = ", ".join(f"{number} of {gate}" for gate, number in counts.items() if number)
    tensors = layer.tensors.get(field or "weights", ())
    yield Finding(
        rule,
        "warning",
        f"{count} unit{'s' if count > 1 else ''} {_SAYS[rule]}" + (f" ({where})" if len(counts) > 1 else ""),
        tensor=tensors[0] if len(tensors) == 1 else None,
        layer=layer.name,
        value=float(count),
        threshold=0.0,
    )
