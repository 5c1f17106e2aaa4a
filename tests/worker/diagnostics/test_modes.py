"""A linear recurrence eigenmode by eigenmode, where all of it is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array, linear
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.modes import Modes, modes
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.losses import CotangentLoss

Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]


def of(weights: Array | BlockDiagonal, depth: int, start: Array, cotangent: Array | None = None) -> Modes:
    loss = CotangentLoss(np.array(1.0) if cotangent is None else cotangent)
    return modes(runs.start(linear(weights, depth, initial_state=GivenState(start), loss=loss)))


def spectrum_and_matrix(values: list[float]) -> list[Array | BlockDiagonal]:
    return [np.diag(values), BlockDiagonal(np.array(values, dtype=np.complex128))]


def test_a_mode_grows_by_its_modulus_at_every_step() -> None:
    found = of(Q @ np.diag([1.1, -1.0, 0.5]) @ Q.T, 1000, np.ones(3))
    assert found.log10_growth == pytest.approx([1000 * np.log10(1.1), 0.0, 1000 * np.log10(0.5)], abs=1e-9)
    assert found.growth_class == ["exploding", "neutral", "vanishing"]


def test_a_mode_of_modulus_zero_vanishes_at_once() -> None:
    found = of(np.diag([1.0, 0.0]), 5, np.ones(2))
    assert found.log10_growth.tolist() == [0.0, -np.inf]


def test_shares_are_squared_coefficients() -> None:
    for weights in spectrum_and_matrix([1.1, 1.0, 0.5]):
        found = of(weights, 10, np.array([1.0, 2.0, 2.0]), np.array([0.0, 3.0, 4.0]))
        assert found.initial_state_share == pytest.approx([1 / 9, 4 / 9, 4 / 9])
        assert found.cotangent_share == pytest.approx([0.0, 9 / 25, 16 / 25])


def test_the_state_and_the_cotangent_have_different_eigenvectors() -> None:
    """A right eigenvector is all in its mode; the left one that pairs with it is not it."""
    W = np.array([[0.9, 5.0], [0.0, 0.5]])
    right = np.array([1.0, 0.0])
    left = np.array([0.4, 5.0])  # W^T (0.4, 5) = 0.9 (0.4, 5)
    found = of(W, 10, right, left)
    assert found.initial_state_share == pytest.approx([1.0, 0.0], abs=1e-12)
    assert found.cotangent_share == pytest.approx([1.0, 0.0], abs=1e-12)


def test_a_pair_shares_evenly() -> None:
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    for weights in (rotation, BlockDiagonal(np.array([0.6 + 0.8j]))):
        assert of(weights, 5, np.array([1.0, 0.0])).initial_state_share == pytest.approx([0.5, 0.5])


def test_the_growing_mode_dominates_once_it_has_caught_up() -> None:
    """1.1^t passes 10 at t = 25: 1.1^24 = 9.85."""
    for weights in spectrum_and_matrix([1.0, 1.1]):
        found = of(weights, 100, np.array([10.0, 1.0]))
        assert (found.dominant_mode, found.dominant_from_step) == (0, 25)
        ratio = 1.1**100 / 10.0
        assert found.alignment == pytest.approx(ratio / np.hypot(1.0, ratio))


@pytest.mark.parametrize("size", [1e-250, 1e-160, 1e160, 1e250])
def test_the_size_of_the_state_does_not_matter(size: float) -> None:
    for weights in spectrum_and_matrix([1.0, 1.1]):
        found = of(weights, 100, size * np.array([10.0, 1.0]), size * np.array([3.0, 4.0]))
        assert (found.dominant_mode, found.dominant_from_step) == (0, 25)
        assert found.alignment == pytest.approx(1.1**100 / np.hypot(10.0, 1.1**100))
        assert found.cotangent_share == pytest.approx([16 / 25, 9 / 25])


def test_a_mode_that_starts_ahead_dominates_from_the_start() -> None:
    assert of(np.diag([1.1, 1.0]), 10, np.array([2.0, 1.0])).dominant_from_step == 0


def test_a_mode_the_state_has_no_part_in_does_not_dominate() -> None:
    found = of(np.diag([2.0, 1.0, 0.5]), 50, np.array([0.0, 1.0, 3.0]))
    assert found.dominant_mode == 1


def test_a_trace_of_a_growing_mode_counts_where_no_rounding_can_have_made_it() -> None:
    """2^t passes 1e20 at t = 67."""
    found = of(BlockDiagonal(np.array([2.0 + 0j, 1.0])), 100, np.array([1e-20, 1.0]))
    assert (found.dominant_mode, found.dominant_from_step) == (0, 67)


def test_no_mode_dominates_before_it_has_caught_up() -> None:
    found = of(np.diag([1.1, 1.0]), 10, np.array([1.0, 10.0]))
    assert found.dominant_mode is None
    assert "within 10 steps" in (found.dominance_reason or "")


def test_a_conjugate_pair_dominates_as_one() -> None:
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = [[0.6, -0.8], [0.8, 0.6]], 0.5
    for weights in (W, BlockDiagonal(np.array([0.6 + 0.8j, 0.5]))):
        found = of(weights, 60, np.array([1.0, 0.0, 4.0]))
        assert (found.dominant_mode, found.dominant_from_step) == (0, 3)
        assert found.alignment == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[0.9, -0.9, 0.1], [0.9, 0.9, 0.1]])
def test_modes_of_one_modulus_do_not_overtake_each_other(values: list[float]) -> None:
    for weights in spectrum_and_matrix(values):
        found = of(weights, 60, np.array([1.0, 2.0, 1.0]))
        assert found.dominant_mode is None
        assert "share the largest modulus" in (found.dominance_reason or "")


def test_a_zero_state_has_no_modes() -> None:
    found = of(np.diag([2.0, 1.0]), 5, np.zeros(2))
    assert np.isnan(found.initial_state_share).all()
    assert found.share_reason == "the initial state is zero"
    assert found.dominance_reason == "the initial state is zero"


def test_eigenvectors_that_are_all_but_parallel_say_nothing() -> None:
    found = of(0.9 * np.eye(10) + 1.5 * np.diag(np.ones(9), 1), 100, np.ones(10))
    assert np.isnan(found.initial_state_share).all()
    assert found.dominant_mode is None
    assert "too close to dependent" in (found.share_reason or "")


def test_a_million_steps_cost_no_more_than_ten() -> None:
    for weights in spectrum_and_matrix([1.001, 1.0]):
        found = of(weights, 10**6, np.array([1e-6, 1.0]))
        assert found.dominant_from_step == int(np.log(1e6) / np.log(1.001)) + 1
