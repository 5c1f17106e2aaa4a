"""The forward loop: states, their scales, burn-in and divergence."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, problem_of
from gradhorizon_service.worker.cells import CELLS as BUILDERS
from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.trajectory import Trajectory, run_forward


def forward(
    name: str, steps: int, initial: np.ndarray, inputs: np.ndarray | None = None, **more: object
) -> Trajectory:
    case = CELLS[name]
    return run_forward(case.network().build(), initial, inputs, steps, **more)  # type: ignore[arg-type]


def scalar(weight: float, activation: str = "identity") -> object:
    return BUILDERS["rnn"].build(weights=np.array([[weight]]), activation=activation)


@pytest.mark.parametrize("name", [name for name, case in CELLS.items() if case.cell != "jacobians"])
def test_states_are_those_of_a_loop(name: str) -> None:
    case = CELLS[name]
    cell = case.network().build()
    inputs = problem_of(case).inputs
    built = None if inputs is None else inputs.build(case.depth)
    state = np.random.default_rng(0).standard_normal((3, case.size))
    found = run_forward(cell, state, built, case.depth)
    drive = cell.drive(built, case.depth, 3)
    for step in range(case.depth):
        state, _ = cell.advance(step, state, None if drive is None else drive[step])
        assert found.states[step + 1] == pytest.approx(state, rel=1e-14)


def test_burn_in_steps_are_run_and_not_kept() -> None:
    inputs = np.random.default_rng(0).standard_normal((9, 2, 2))
    start = np.ones((2, 4))
    whole = forward("rnn tanh", 9, start, inputs)
    late = forward("rnn tanh", 5, start, inputs, burn_in=4)
    assert np.array_equal(np.asarray(late.states), np.asarray(whole.states)[4:])


@pytest.mark.parametrize("weight", [10.0, 0.1, 1e200, 1e-200])
@pytest.mark.parametrize("start", [1.0, 1e-300, 1e300])
def test_states_of_a_linear_recurrence_never_leave_float64(weight: float, start: float) -> None:
    found = run_forward(scalar(weight), np.full((1, 1), start), None, 5000, rescale=True)
    expected = np.log(start) + np.arange(5001) * np.log(weight)
    assert found.log_norms()[:, 0] == pytest.approx(expected, rel=1e-12)


def test_a_scaled_state_is_driven_as_an_unscaled_one() -> None:
    """2^t is past 2^32 after 40 steps; what is added then still has the right size beside it."""
    cell = BUILDERS["linear"].build(weights=np.array([[2.0]]), bias=np.array([3.0]))
    found = run_forward(cell, np.ones((1, 1)), None, 60, rescale=True)
    assert found.log_scales[-1, 0] > 0
    assert np.exp(found.log_norms()[:, 0]) == pytest.approx(4.0 * 2.0 ** np.arange(61) - 3.0, rel=1e-12)


def test_a_driven_state_that_starts_at_nothing_is_not_scaled_up() -> None:
    cell = BUILDERS["linear"].build(weights=np.array([[0.5]]), bias=np.array([1e-200]))
    found = run_forward(cell, np.zeros((1, 1)), None, 50, rescale=True)
    assert np.exp(found.log_norms()[-1, 0]) == pytest.approx(2e-200, rel=1e-12)


def test_sequences_have_scales_of_their_own() -> None:
    cell = BUILDERS["linear"].build(weights=np.diag([1e30, 1e-30]))
    found = run_forward(cell, np.eye(2), None, 100, rescale=True)
    assert found.log_norms()[-1] == pytest.approx(np.log(10.0) * np.array([3000.0, -3000.0]), rel=1e-12)


def test_a_zero_state_stays_exactly_zero() -> None:
    found = run_forward(scalar(10.0), np.zeros((1, 1)), None, 5, rescale=True)
    assert (found.log_norms() == -np.inf).all()


def test_a_diverging_state_ends_the_trajectory_before_it_leaves_float64() -> None:
    found = run_forward(scalar(10.0, "relu"), np.ones((1, 1)), None, 500)
    assert (found.steps, found.steps_asked) == (308, 500)
    assert np.isfinite(np.asarray(found.states)).all()
    assert len(found.states) == len(found.log_scales) == 309


def test_one_diverging_sequence_ends_the_trajectory_of_the_batch() -> None:
    assert run_forward(scalar(10.0, "relu"), np.array([[1.0], [-1.0]]), None, 500).steps == 308


def test_layers_of_different_sizes_end_before_divergence_too() -> None:
    layers = [np.full((rows, columns), 1e160) for columns, rows in ((2, 3), (3, 2), (2, 1))]
    cell = BUILDERS["feedforward"].build(layers=layers, activation="relu")
    found = run_forward(cell, np.ones((1, 2)), None, 3)
    assert (found.steps, [state.shape[1] for state in found.states]) == (1, [2, 3])


def test_a_burn_in_that_diverges_is_refused() -> None:
    with pytest.raises(CannotRun, match="burn_in"):
        run_forward(scalar(10.0, "relu"), np.ones((1, 1)), None, 5, burn_in=400)


def test_a_final_state_beyond_float64_is_none() -> None:
    assert run_forward(scalar(10.0), np.ones((1, 1)), None, 400, rescale=True).final_state() is None


def test_a_final_state_that_returned_from_its_scale_is_itself() -> None:
    found = run_forward(scalar(2.0), np.full((1, 1), 0.75), None, 100, rescale=True)
    assert found.final_state() == pytest.approx(np.array([[0.75 * 2.0**100]]), rel=1e-12)


@pytest.mark.parametrize("cell", ["linear", "rnn"])
def test_a_drive_of_zeros_lets_a_state_fade_below_float64(cell: str) -> None:
    """0.5^3000 is 1e-903: the scale of the state has no inverse in float64, and zero times infinity is no number."""
    more = {"activation": "identity"} if cell == "rnn" else {}
    built = BUILDERS[cell].build(weights=np.array([[0.5]]), bias=np.array([0.0]), **more)
    found = run_forward(built, np.ones((1, 1)), None, 3000, rescale=True)
    assert found.steps == 3000
    assert found.log_norms()[-1, 0] == pytest.approx(-3000 * np.log(2.0), rel=1e-12)


def test_a_run_ends_at_the_last_state_that_is_usable() -> None:
    found = run_forward(
        scalar(10.0), np.ones((1, 1)), None, 400, is_usable=lambda state, step: bool(state.max() < 1e200)
    )
    assert (found.steps, found.steps_asked) == (199, 400)
    assert len(found.states) == len(found.log_scales) == 200
