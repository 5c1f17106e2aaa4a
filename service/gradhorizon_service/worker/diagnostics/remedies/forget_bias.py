"""The gate that keeps the state, biased open: by how much for the asked depth.

An LSTM's forget gate (Gers et al. 2000, Jozefowicz et al. 2015), a GRU's update gate; for any other cell, those of an
LSTM of the same size. With T steps and a state kept by sigma(b) alone, b = ln(T - 1) loses a factor of e (Tallec and
Ollivier 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...problem import Problem
from ._gated import GATES, gated_network, raised, too_large
from ._remedy import Change, Remedy, Subject, Trial, effect_of
from ._search import mildest

_KEEPING_GATE = 1
"""Second in PyTorch's stacking of either cell: i, f, g, o and r, z, n."""
_BIASES = ("input_bias", "bias", "recurrent_bias")


def _search(subject: Subject) -> tuple[Trial, int]:
    return mildest(
        lambda increase: _trial(subject, increase), 0.02, float(np.log(subject.depth)) + 6.0, np.linspace
    )


def _trial(subject: Subject, increase: float) -> Trial:
    cell = subject.problem.network.cell
    change: Change = {"forget_bias_increase": increase}
    if cell not in GATES:
        network = gated_network(subject, "lstm", _KEEPING_GATE, increase)
        return Trial({"cell": "lstm", **change}, effect_of(subject.with_network(network)), drawn=network)
    if cell == "gru":
        change = {"update_bias_increase": increase}
    # An update gate that replaces the state must be biased shut to keep it.
    signed = -increase if subject.parameters.get("update") == "replace" else increase
    return Trial(change, effect_of(subject.with_parameters(**_biases(subject, GATES[cell], signed))))


def _biases(subject: Subject, gates: int, increase: float) -> dict[str, Any]:
    """The first bias that the network has, raised for the gate; an input bias where it has none."""
    rows = gates * subject.parameters["weights"].shape[0] // gates
    name = next((name for name in _BIASES if subject.parameters.get(name) is not None), "input_bias")
    given = subject.parameters.get(name)
    bias = np.broadcast_to(0.0 if given is None else given, (rows,))
    return {name: raised(bias, rows // gates, _KEEPING_GATE, increase)}


def _not_applicable(problem: Problem) -> str | None:
    return None if problem.network.cell in GATES else too_large(problem)


forget_bias = Remedy(
    _not_applicable,
    _search,
    "what the cell remembers it no longer forgets of its own accord: new input competes with the old, and gates that "
    "start near one learn slowly, for their slopes are small there",
    is_mildest=True,
)
