"""What the gates of a run were: from their pre-activations its states can be built again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import CELLS, Array, CellCase, problem, problem_of
from gradhorizon_service.worker.cells import CELLS as KINDS
from gradhorizon_service.worker.runs.stepped import SteppedRun

GATED = {name: case for name, case in CELLS.items() if KINDS[case.cell].is_gated}


def values(run: SteppedRun) -> dict[str, Array]:
    found = run.nonlinearities()
    return {name: seen.activation.value(np.asarray(seen.preactivations)) for name, seen in found.items()}


def lstm_states(run: SteppedRun, before: Array) -> Array:
    cell: Any = run.cell
    found = values(run)
    c = found["forget"] * before[..., cell.output_size :] + found["input"] * found["cell"]
    m = found["output"] * found["c"]
    h = m if cell.projection is None else m @ cell.projection.T
    return np.concatenate([h, c], axis=-1)


def gru_states(run: SteppedRun, before: Array) -> Array:
    found = values(run)
    z = found["update"] if run.nonlinearities()["update"].keeps == "value" else 1.0 - found["update"]
    return z * before + (1.0 - z) * found["new"]


STATES = {"lstm": lstm_states, "gru": gru_states}


@pytest.mark.parametrize("name", GATED)
def test_gates_build_the_states_of_the_run_again(name: str) -> None:
    run = SteppedRun(problem_of(CELLS[name]), CELLS[name].network().build())
    states = np.asarray(run.trajectory.states)
    assert STATES[CELLS[name].cell](run, states[:-1]) == pytest.approx(states[1:], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", GATED)
def test_gates_are_named_as_in_the_row_of_the_cell(name: str) -> None:
    run = SteppedRun(problem_of(CELLS[name]), CELLS[name].network().build())
    assert set(KINDS[CELLS[name].cell].gates) <= set(run.nonlinearities())
    assert any(seen.keeps for seen in run.nonlinearities().values())


def test_a_forget_bias_of_one_forgets_in_three_steps() -> None:
    """Without recurrent weights f = sigma(1) = 0.7311, and -1 / ln f = 3.192."""
    from gradhorizon_service.worker.diagnostics.saturation import saturation

    bias = np.repeat([0.0, 1.0, 0.0, 0.0], 2)
    case = CellCase("lstm", {"weights": np.zeros((8, 2)), "bias": bias})
    gates = saturation(SteppedRun(problem(case.network(), 100), case.network().build())).gates
    assert gates is not None
    assert set(gates) == {"input", "forget", "output"}
    assert gates["forget"].mean == pytest.approx(0.7310586, abs=1e-7)
    assert gates["forget"].time_constant == pytest.approx(-1.0 / np.log(0.7310585786))
    assert gates["output"].time_constant is None
