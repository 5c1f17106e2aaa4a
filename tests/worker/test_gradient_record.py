"""Sizes looked at once in a stride: the same numbers as with a look at every step."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker import gradient_record
from gradhorizon_service.worker.backprop import Backpropagated, backpropagate
from gradhorizon_service.worker.cells import CELLS
from gradhorizon_service.worker.gradient_record import GradientRecord
from gradhorizon_service.worker.trajectory import run_forward

STEPS = 300


def carried_back(layers: list[Array], gradient: Array, recurrent: bool) -> Backpropagated:
    cell = CELLS["feedforward"].build(layers=layers, activation="relu")
    linearisation = cell.linearise(layers, [np.ones((len(gradient), len(W))) for W in layers])
    steps = len(layers)
    return backpropagate(
        linearisation, steps, lambda step: gradient if step == steps else None, recurrent=recurrent
    )


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("gain", [1e-30, 0.03, 0.9, 1.0, 1.1, 30.0, 1e30])
def test_a_stride_leaves_what_single_steps_leave(
    gain: float, recurrent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    layers = list(gain * rng.standard_normal((STEPS, 4, 4)) / 2.0)
    gradient = rng.standard_normal((3, 4))
    gradient[1] = 0.0
    strided = carried_back(layers, gradient, recurrent)
    monkeypatch.setattr(gradient_record, "LONGEST_STRIDE", 1)
    single = carried_back(layers, gradient, recurrent)
    assert (single.log_norms[:, 1] == -np.inf).all()
    assert strided.log_norms == pytest.approx(single.log_norms, rel=1e-13)


def test_a_pace_that_changes_takes_the_stride_back() -> None:
    """A hundred steps that keep the norm, then one that loses two hundred decades, then ninety-nine that gain ten."""
    layers = [np.full((1, 1), 1e10)] * 99 + [np.full((1, 1), 1e-200)] + [np.ones((1, 1))] * 100
    found = carried_back(layers, np.ones((1, 1)), True)
    expected = np.concatenate([np.zeros(101), -200.0 + 10.0 * np.arange(100)])
    assert found.log_norms[:, 0] == pytest.approx(expected * np.log(10.0), rel=1e-12, abs=1e-12)


def test_sizes_that_stay_are_looked_at_once_in_sixty_four_steps() -> None:
    record = GradientRecord(1000, 2, True)
    record.keep(np.ones((2, 3)), np.zeros(2))
    record.keep(np.ones((2, 3)), np.zeros(2))
    assert record.stride() == 64


@pytest.mark.parametrize("factor", [1 / 3000.0, 3000.0])
def test_sizes_that_move_are_looked_at_before_they_leave_the_range(factor: float) -> None:
    record = GradientRecord(1000, 1, True)
    record.keep(np.ones((1, 1)), np.zeros(1))
    record.keep(np.full((1, 1), factor), np.zeros(1))
    assert record.stride() == 2  # 3000^3 is within 1e12, 3000^4 is not


def test_a_zero_gradient_does_not_shorten_the_stride() -> None:
    record = GradientRecord(1000, 2, True)
    g, log_scale = record.keep(np.array([[0.0], [1.0]]), np.zeros(2))
    record.keep(g, log_scale)
    assert record.stride() == 64


def test_a_trajectory_carries_the_gradients_of_its_own_loop() -> None:
    """The weights times slopes, one by one, against the loop that reuses memory and looks ahead."""
    rng = np.random.default_rng(1)
    W, U, b = 0.9 * rng.standard_normal((5, 5)), rng.standard_normal((5, 2)), rng.standard_normal(5)
    x, h = rng.standard_normal((40, 3, 2)), rng.standard_normal((3, 5))
    trajectory = run_forward(CELLS["rnn"].build(weights=W, input_weights=U, bias=b), h, x, 40)
    g = rng.standard_normal((3, 5))
    found = backpropagate(trajectory.linearisation, 40, lambda step: g if step == 40 else None)
    slopes = []
    for drive in x @ U.T + b:
        a = h @ W.T + drive
        h = np.tanh(a)
        slopes.append(1.0 / np.cosh(a) ** 2)
    for lag, slope in enumerate(reversed(slopes)):
        assert np.exp(found.log_norms[lag]) == pytest.approx(np.linalg.norm(g, axis=1), rel=1e-11)
        g = (g * slope) @ W
