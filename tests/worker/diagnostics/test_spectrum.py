"""The spectrum of the recurrent matrix, as a run reports it."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, Array, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.spectrum import Spectrum, spectrum

TURN = 0.5 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])


def of(weights: Array | BlockDiagonal) -> Spectrum:
    return spectrum(runs.start(linear(weights, 10)))


def of_rnn(weights: Array, activation: str) -> Spectrum:
    network = CellCase("rnn", {"weights": weights, "activation": activation}).network()
    return spectrum(runs.start(problem(network, 3)))


def test_a_scaled_rotation_halves_and_turns() -> None:
    found = of(TURN)
    assert found.eigenvalues == pytest.approx(0.5 * np.exp(np.array([0.3j, -0.3j])))
    assert found.half_life == pytest.approx([1.0, 1.0])
    assert found.period == pytest.approx([2 * np.pi / 0.3] * 2)


def test_a_spectrum_is_that_of_its_matrix() -> None:
    blocks = BlockDiagonal(np.array([0.2, 0.4 + 0.8j, -1.1]))
    found, dense = of(blocks), of(blocks.times(np.eye(4)).T)
    for name in (
        "eigenvalues",
        "spectral_radius",
        "spectral_norm",
        "smallest_singular_value",
        "numerical_radius",
    ):
        assert getattr(found, name) == pytest.approx(getattr(dense, name)), name
    assert found.half_life == pytest.approx(dense.half_life, nan_ok=True)
    assert found.conditions == dense.conditions


def test_a_nilpotent_matrix_has_a_norm_and_no_radius() -> None:
    found = of(np.array([[0.0, 4.0], [0.0, 0.0]]))
    assert (found.spectral_radius, found.spectral_norm) == (0.0, pytest.approx(4.0))
    assert found.numerical_radius == pytest.approx(2.0)
    assert found.smallest_singular_value == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(("activation", "gamma"), [("tanh", 1.0), ("sigmoid", 0.25), ("relu", 1.0)])
def test_the_bound_of_one_step_is_the_norm_times_the_steepest_slope(activation: str, gamma: float) -> None:
    conditions = of_rnn(3.0 * np.eye(2), activation).conditions
    assert conditions.gamma == gamma
    assert conditions.one_step_norm_bound == pytest.approx(3.0 * gamma)
    assert conditions.sufficient_for_vanishing == (3.0 * gamma < 1.0)


def test_a_linear_recurrence_is_judged_by_its_radius() -> None:
    conditions = of(np.array([[0.5, 100.0], [0.0, 0.4]])).conditions
    assert conditions.sufficient_for_vanishing
    assert not conditions.necessary_for_exploding


def test_a_nonlinear_recurrence_is_judged_by_its_norm() -> None:
    """Radius 0.5, yet a gradient grows a hundredfold in one step."""
    conditions = of_rnn(np.array([[0.5, 100.0], [0.0, 0.4]]), "tanh").conditions
    assert not conditions.sufficient_for_vanishing
    assert conditions.necessary_for_exploding


def test_the_identity_activation_is_linear() -> None:
    assert of_rnn(TURN, "identity").conditions == of(TURN).conditions


def of_cell(cell: str, **parameters: object) -> Spectrum:
    return spectrum(runs.start(problem(CellCase(cell, parameters).network(), 3)))


def test_a_linear_leaky_network_is_judged_by_the_radius_of_its_step() -> None:
    """W has an eigenvalue of -1.2, and 0.8 - 0.2 * 1.2 = 0.56."""
    found = of_cell("leaky", weights=np.array([[-1.2]]), leak_rate=0.2, activation="identity")
    assert found.spectral_radius == pytest.approx(1.2)
    first = found.conditions.statements[0]
    assert (first.quantity, first.value) == ("step_spectral_radius", pytest.approx(0.56))
    assert found.conditions.sufficient_for_vanishing
    assert not found.conditions.necessary_for_exploding


@pytest.mark.parametrize(
    ("cell", "parameters", "bound"),
    [
        ("leaky", {"leak_rate": 0.25}, 0.75 + 0.25 * 0.25 * 3.0),
        ("residual", {"scale": -2.0}, 1.0 + 2.0 * 0.25 * 3.0),
        ("echo_state", {"leak_rate": 0.5, "spectral_radius": 2.0}, 0.5 + 0.5 * 0.25 * 2.0),
    ],
)
def test_the_bound_of_one_step_counts_what_is_kept(
    cell: str, parameters: dict[str, float], bound: float
) -> None:
    found = of_cell(cell, weights=3.0 * np.eye(2), activation="sigmoid", **parameters)
    assert found.conditions.one_step_norm_bound == pytest.approx(bound)
    assert {s.name for s in found.conditions.statements} == {
        "sufficient_for_vanishing",
        "necessary_for_exploding",
    }


@pytest.mark.parametrize(
    ("combine", "gain"), [("inside", 0.25 * 3.0 + 0.25 * 2.0), ("outside", 0.25 * 3.0 + 2.0)]
)
def test_a_skip_adds_its_own_norm(combine: str, gain: float) -> None:
    weights = {"weights": 3.0 * np.eye(2), "skip_weights": 2.0 * np.eye(2)}
    found = of_cell("skip", delay=3, combine=combine, activation="sigmoid", **weights)
    assert found.conditions.statements[0].value == pytest.approx(gain)


@pytest.mark.parametrize(
    "name", [name for name, case in CELLS.items() if case.cell in ("leaky", "residual", "skip", "echo_state")]
)
def test_no_step_of_any_cell_exceeds_its_bound(name: str) -> None:
    problem = problem_of(CELLS[name])
    run = runs.step_by_step(problem, problem.network.build())
    bound = spectrum(run).conditions.one_step_norm_bound
    norms = [np.linalg.norm(run.factors.dense(step), 2, axis=(1, 2)).max() for step in range(run.depth)]
    assert max(norms) <= bound * (1.0 + 1e-12)
