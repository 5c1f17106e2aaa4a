"""Norms of states by step."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CellCase, linear, problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.diagnostics.state_norms import StateNorms, state_norms
from gradhorizon_service.worker.drives import GaussianState, GivenState
from gradhorizon_service.worker.problem import Problem


def of(asked: Problem) -> StateNorms:
    return state_norms(runs.start(asked))


def doubling(depth: int, **changed: object) -> Problem:
    return linear(np.array([[2.0]]), depth, initial_state=GivenState(np.array([1.0])), **changed)


def test_states_of_a_doubling_recurrence_double() -> None:
    found = of(doubling(10))
    assert found.step.tolist() == list(range(11))
    assert found.log10_norm == pytest.approx(np.arange(11) * np.log10(2.0))
    assert found.final_state is not None
    assert found.final_state == pytest.approx(np.array([[1024.0]]))


def test_steps_mirror_the_reported_lags() -> None:
    assert of(doubling(1000, lags=np.array([0, 1, 10]))).step.tolist() == [990, 999, 1000]


def test_a_thinned_series_is_dense_at_the_loss() -> None:
    steps = of(doubling(10**6, max_points=32)).step
    assert len(steps) <= 32
    assert (steps[0], steps[-1], steps[-2]) == (0, 10**6, 10**6 - 1)


def test_a_final_state_beyond_float64_has_a_reason_instead() -> None:
    found = of(doubling(2000))
    assert found.final_state is None
    assert "too large" in (found.final_state_reason or "")
    assert found.log10_norm[-1] == pytest.approx(2000 * np.log10(2.0))


def test_a_large_final_state_is_left_out_unless_asked_for() -> None:
    asked = linear(np.eye(40), 3, initial_state=GaussianState(1.0, seed=0), batch=30)
    assert of(asked).final_state is None
    assert "1200 numbers" in (of(asked).final_state_reason or "")
    network = CellCase("linear", {"weights": np.eye(40)}).network()
    wanted = problem(
        network, 3, initial_state=GaussianState(1.0, seed=0), batch=30, include=frozenset({"final_state"})
    )
    found = of(wanted)
    assert found.final_state is not None
    assert found.final_state.shape == (30, 40)
    assert found.final_state_reason is None


def test_quantiles_are_over_the_batch() -> None:
    start = GivenState(10.0 ** np.arange(11.0)[:, None])
    found = of(linear(np.array([[1.0]]), 1, initial_state=start, batch=11))
    assert (found.log10_q10[0], found.log10_norm[0], found.log10_q90[0]) == (
        pytest.approx(1.0),
        pytest.approx(5.0),
        pytest.approx(9.0),
    )


def test_a_zero_state_is_minus_infinity() -> None:
    assert np.isneginf(of(linear(np.eye(2), 3)).log10_norm).all()
