"""Memory capacity against reservoirs whose memory is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from cases import Array
from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.cells import Cell, LeakyCell, RnnCell
from gradhorizon_service.worker.memory_capacity import MemoryCapacity, MemoryTask, memory_capacity


def reservoir(
    weights: Array, column: Array, activation: str = "identity", bias: float | None = None
) -> RnnCell:
    return RnnCell.build(
        weights=weights,
        input_weights=column[:, None],
        activation=activation,
        bias=None if bias is None else np.array(bias),
    )


def measured(cell: Cell, std: float = 1.0, seed: int = 0) -> MemoryCapacity:
    found = memory_capacity(cell, np.ones(1), std, MemoryTask.of(cell.output_size), seed)
    assert found is not None
    return found


def exact(weights: Array, column: Array, delays: int) -> Array:
    """v_k^T C^-1 v_k with v_k = W^k u and C = sum_k v_k v_k^T (White, Lee and Sompolinsky 2004)."""
    covariance = solve_discrete_lyapunov(weights, np.outer(column, column))
    found = []
    for _ in range(delays):
        found.append(column @ np.linalg.solve(covariance, column))
        column = weights @ column
    return np.array(found)


@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_a_delay_line_holds_as_many_inputs_as_it_has_units(size: int) -> None:
    found = measured(reservoir(np.eye(size, k=-1), np.eye(size)[0]))
    assert found.capacity[:size] == pytest.approx(np.ones(size), abs=1e-12)
    assert found.capacity[size:].max() < 0.02
    assert found.total(size) == pytest.approx(size, abs=0.05)


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_a_linear_unit_forgets_geometrically(decay: float) -> None:
    """MC_k = (1 - r^2) r^(2k), and one in all."""
    found = measured(reservoir(np.array([[decay]]), np.ones(1)))
    expected = (1.0 - decay**2) * decay ** (2.0 * np.arange(100))
    assert found.capacity == pytest.approx(expected, abs=0.05)
    assert found.total(1) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_linear_reservoirs_have_the_capacity_of_their_covariance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Q, column = np.linalg.qr(rng.standard_normal((8, 8)))[0], rng.standard_normal(8)
    expected = exact(0.9 * Q, column, 100)
    assert expected.sum() == pytest.approx(8.0, abs=1e-6)
    found = measured(reservoir(0.9 * Q, column), seed=seed)
    assert found.capacity == pytest.approx(expected, abs=0.06)
    assert found.total(8) == pytest.approx(8.0, abs=0.4)


def test_units_that_copy_each_other_remember_no_more_than_one() -> None:
    found = measured(reservoir(0.8 * np.eye(5), np.ones(5)))
    assert found.total(5) == pytest.approx(1.0, abs=0.1)


def test_what_is_forgotten_adds_nothing() -> None:
    """A unit without recurrence holds the present input and nothing else; 99 delays of pure chance are unbiased."""
    cell = reservoir(np.zeros((20, 20)), np.random.default_rng(0).standard_normal(20))
    totals = [measured(cell, seed=seed).total(20) for seed in range(30)]
    assert np.mean(totals) == pytest.approx(1.0, abs=4.0 * np.std(totals) / 30**0.5)
    assert np.std(totals) / 30**0.5 < 0.003


def test_a_leaky_unit_remembers_longer() -> None:
    slow, fast = (
        measured(
            LeakyCell.build(
                weights=np.zeros((1, 1)), leak_rate=a, input_weights=np.ones((1, 1)), activation="identity"
            )
        )
        for a in (0.05, 0.5)
    )
    for found, r in ((slow, 0.95), (fast, 0.5)):
        assert found.capacity == pytest.approx((1.0 - r**2) * r ** (2.0 * np.arange(100)), abs=0.05)
    assert slow.capacity[5:30].sum() > 0.4 > 0.05 > fast.capacity[5:30].sum()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "softplus"])
def test_no_network_remembers_more_inputs_than_it_has_units(activation: str) -> None:
    assert activation in ACTIVATIONS
    rng = np.random.default_rng(3)
    cell = reservoir(rng.standard_normal((6, 6)) / 4, rng.standard_normal(6), activation, bias=0.1)
    assert 0.5 < measured(cell).total(6) <= 6.0


def test_dead_units_remember_nothing() -> None:
    assert measured(reservoir(np.eye(3), np.ones(3), "relu", bias=-1e6)).total(3) == 0.0


def test_the_size_of_the_input_does_not_matter_to_a_linear_network() -> None:
    cell = reservoir(np.eye(4, k=-1) + 0.3 * np.eye(4), np.eye(4)[0])
    small, large = measured(cell, std=1e-120), measured(cell, std=1e120)
    assert small.capacity == pytest.approx(large.capacity, abs=1e-6)


def test_states_beyond_float64_have_no_capacity() -> None:
    cell = reservoir(np.array([[3.0]]), np.ones(1))
    assert memory_capacity(cell, np.ones(1), 1.0, MemoryTask.of(1), 0) is None


def test_the_same_seed_gives_the_same_capacity() -> None:
    cell = reservoir(0.5 * np.eye(2), np.array([1.0, 0.2]), "tanh")
    assert np.array_equal(measured(cell, seed=5).capacity, measured(cell, seed=5).capacity)
    assert not np.array_equal(measured(cell, seed=5).capacity, measured(cell, seed=6).capacity)
