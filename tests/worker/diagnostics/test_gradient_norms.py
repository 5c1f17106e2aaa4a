"""Norms of gradients by lag."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, linear, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.gradient_norms import GradientNorms, gradient_norms
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import Problem

Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]


def of(asked: Problem) -> GradientNorms:
    return gradient_norms(runs.start(asked))


def test_orthogonal_weights_keep_norms() -> None:
    found = of(linear(Q, 200, loss=CotangentLoss(np.array([3.0, 4.0, 0.0]))))
    assert found.log10_norm == pytest.approx(np.full(201, np.log10(5.0)))
    assert found.reliable


def test_series_over_a_batch_are_of_equal_length_and_in_order() -> None:
    found = of(problem_of(CELLS["rnn tanh"]))
    assert found.lag.tolist() == list(range(7))
    assert (found.log10_q10 <= found.log10_norm).all()
    assert (found.log10_norm <= found.log10_q90).all()
    assert (found.log10_batch_norm >= found.log10_q90).all()


def test_the_batch_norm_is_that_of_all_sequences_together() -> None:
    found = of(linear(np.eye(1), 1, batch=2, loss=CotangentLoss(np.array([[3.0], [4.0]]))))
    assert 10.0**found.log10_batch_norm == pytest.approx([5.0, 5.0])


def test_lags_that_were_asked_for_are_the_ones_reported() -> None:
    found = of(linear(np.array([[0.5]]), 10**6, lags=np.array([0, 3, 10**6])))
    assert found.lag.tolist() == [0, 3, 10**6]
    assert found.log10_norm == pytest.approx(np.array([0, 3, 10**6]) * np.log10(0.5))


def test_lags_beyond_the_completed_steps_are_left_out() -> None:
    found = of(problem_of(CELLS["rnn tanh"], lags=np.array([0, 6, 50])))
    assert found.lag.tolist() == [0, 6]


def test_a_thinned_series_keeps_both_ends() -> None:
    lags = of(linear(np.array([[0.5]]), 10**6, max_points=16)).lag
    assert len(lags) <= 16
    assert (lags[0], lags[1], lags[-1]) == (0, 1, 10**6)


def test_a_gradient_orthogonal_to_what_grows_is_not_to_be_trusted() -> None:
    """Exactly (0.5)^k, but rounding leaves 1e-17 of the mode that grows by 2 at every step."""
    symmetric = Q @ np.diag([2.0, 0.5, 0.1]) @ Q.T
    found = of(linear(0.5 * (symmetric + symmetric.T), 100, loss=CotangentLoss(Q[:, 1])))
    assert not found.reliable
    assert "rounding re-excites" in (found.reliable_reason or "")


def test_a_gradient_with_a_part_in_what_grows_is_reliable() -> None:
    symmetric = Q @ np.diag([2.0, 0.5, 0.1]) @ Q.T
    found = of(linear(0.5 * (symmetric + symmetric.T), 1000, loss=CotangentLoss(np.ones(3))))
    assert found.reliable
    assert found.reliable_reason is None


@pytest.mark.parametrize("every_step", [False, True])
def test_modes_that_never_mix_are_reliable(every_step: bool) -> None:
    """A spectrum in its own basis has no rounding that could reach another mode."""
    blocks = BlockDiagonal(np.array([2.0 + 0j, 0.5]))
    found = of(linear(blocks, 100, loss=CotangentLoss(np.array([0.0, 1.0])), every_step=every_step))
    assert found.reliable


def test_a_zero_cotangent_is_minus_infinity_and_reliable() -> None:
    found = of(linear(np.diag([2.0, 0.5]), 100, loss=CotangentLoss(np.zeros(2))))
    assert np.isneginf(found.log10_norm).all()
    assert np.isneginf(found.log10_batch_norm).all()
    assert found.reliable


def test_a_cell_whose_state_is_h_has_no_parts() -> None:
    assert of(problem_of(CELLS["rnn tanh"])).parts is None
