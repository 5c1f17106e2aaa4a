"""Losses: gradients against finite differences of the loss itself, written down a second time here."""

from __future__ import annotations

import numpy as np
import pytest

from cases import LOSSES, Array
from gradhorizon_service.worker.losses import (
    CotangentLoss,
    CrossEntropyLoss,
    Loss,
    RandomLoss,
    SquaredErrorLoss,
)
from reference import loss_value, numerical_gradient

BATCH, OUTPUTS, STEPS = 3, 4, 5
STATES = np.random.default_rng(0).standard_normal((BATCH, OUTPUTS))


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param].build(OUTPUTS, BATCH, STEPS)


@pytest.mark.parametrize("step", [1, STEPS])
def test_the_gradient_of_the_outputs_is_the_slope_of_the_loss(loss: Loss, step: int) -> None:
    expected = numerical_gradient(lambda h: loss_value(loss, h, step), STATES)
    assert loss.gradient(STATES, step).outputs == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["readout_weight", "readout_bias"])
def test_the_gradient_of_the_readout_is_the_slope_of_the_loss(loss: Loss, name: str) -> None:
    value = getattr(loss, name, None)
    if value is None:
        assert name not in loss.gradient(STATES, 2).readout
        return

    def changed(parameter: Array) -> float:
        return loss_value(type(loss)(**{**vars(loss), name: parameter}), STATES, 2)

    expected = numerical_gradient(changed, value)
    assert loss.gradient(STATES, 2).readout[name].values() == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_one_row_of_a_cotangent_serves_every_sequence() -> None:
    assert (
        CotangentLoss(np.arange(4.0)).gradient(STATES, 1).outputs.tolist() == [[0.0, 1.0, 2.0, 3.0]] * BATCH
    )


def test_one_number_fills_a_cotangent() -> None:
    assert CotangentLoss(np.array(2.0)).gradient(STATES, 1).outputs.tolist() == [[2.0] * OUTPUTS] * BATCH


def test_a_random_cotangent_is_a_unit_vector_for_each_sequence() -> None:
    rows = RandomLoss(3).gradient(STATES, 1).outputs
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(BATCH))
    assert np.linalg.matrix_rank(rows) == BATCH


def test_a_random_cotangent_is_the_same_at_every_step() -> None:
    loss = RandomLoss(3)
    assert np.array_equal(loss.gradient(STATES, 1).outputs, loss.gradient(2.0 * STATES, 4).outputs)


def test_cross_entropy_is_accurate_where_the_prediction_is_all_but_certain() -> None:
    """softmax - 1 would be exactly zero; the gradient is -exp(-60) on the label and exp(-60) on the other class."""
    loss = CrossEntropyLoss(np.eye(2), None, np.array([0]))
    gradient = loss.gradient(np.array([[60.0, 0.0]]), 1).outputs
    assert gradient[0] == pytest.approx([-np.exp(-60.0), np.exp(-60.0)], rel=1e-14)


def test_cross_entropy_survives_logits_beyond_the_range_of_exp() -> None:
    loss = CrossEntropyLoss(np.eye(2), None, np.array([1]))
    assert loss.gradient(np.array([[1e4, -1e4]]), 1).outputs.tolist() == [[1.0, -1.0]]


def test_cross_entropy_is_a_mean_over_the_batch() -> None:
    one = CrossEntropyLoss(np.eye(4), None, np.array(2)).gradient(STATES[:1], 1).outputs
    many = (
        CrossEntropyLoss(np.eye(4), None, np.array(2)).gradient(np.repeat(STATES[:1], 5, axis=0), 1).outputs
    )
    assert many == pytest.approx(np.repeat(one / 5, 5, axis=0), rel=1e-14)


def test_targets_by_step_are_those_of_the_step() -> None:
    targets = np.random.default_rng(1).standard_normal((BATCH, STEPS, OUTPUTS))
    loss = SquaredErrorLoss(targets, None, None, "half_sum")
    assert np.array_equal(loss.gradient(STATES, 3).outputs, STATES - targets[:, 2])


def test_the_gradient_of_a_squared_error_at_its_target_is_exactly_zero() -> None:
    assert not SquaredErrorLoss(STATES, None, None, "mean").gradient(STATES, 1).outputs.any()
