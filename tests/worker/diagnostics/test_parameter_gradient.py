"""The gradient of each parameter, and the lags it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, LOSSES, linear, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.diagnostics.parameter_gradient import ParameterGradient, parameter_gradient
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.problem import Problem


def of(asked: Problem) -> ParameterGradient:
    return parameter_gradient(runs.start(asked))


def scalar(w: float, depth: int, **changed: object) -> Problem:
    return linear(np.array([[w]]), depth, initial_state=GivenState(np.array([2.0])), **changed)


def test_the_gradient_of_a_power_is_its_derivative() -> None:
    """d (w^T h) / dw = T w^(T-1) h."""
    found = of(scalar(1.1, 7))
    assert found.values is not None
    assert found.values["weights"] == pytest.approx(np.array([[7 * 1.1**6 * 2.0]]))
    assert found.log10_norm["weights"] == pytest.approx(np.log10(7 * 1.1**6 * 2.0))


def test_every_lag_of_a_scalar_recurrence_has_the_same_share() -> None:
    found = of(scalar(0.3, 40))
    assert found.lag.tolist() == list(range(40))
    assert found.share == pytest.approx(np.full(40, 1 / 40))
    assert found.steps_holding_95_percent == 38


def test_shares_of_all_lags_sum_to_one() -> None:
    found = of(problem_of(CELLS["rnn tanh"], LOSSES["cross_entropy at every step"]))
    assert found.share.sum() == pytest.approx(1.0)


def test_shares_are_of_all_lags_also_where_few_are_shown() -> None:
    found = of(scalar(0.3, 40, lags=np.array([0, 1, 39, 40])))
    assert found.lag.tolist() == [0, 1, 39]
    assert found.share == pytest.approx(np.full(3, 1 / 40))


def test_a_truncated_gradient_comes_from_its_window() -> None:
    found = of(scalar(0.3, 40, truncate=3))
    assert found.share == pytest.approx(np.where(np.arange(40) <= 3, 0.25, 0.0))
    assert found.steps_holding_95_percent == 4


def test_every_parameter_is_there_by_its_name_in_the_request() -> None:
    assert list(of(problem_of(CELLS["rnn pair of biases"], LOSSES["cross_entropy"])).log10_norm) == [
        "weights",
        "input_bias",
        "recurrent_bias",
        "input_weights",
        "readout_weight",
        "readout_bias",
    ]


def test_both_biases_have_one_gradient() -> None:
    found = of(problem_of(CELLS["rnn pair of biases"])).log10_norm
    assert found["input_bias"] == found["recurrent_bias"]


def test_layers_are_reported_one_by_one() -> None:
    found = of(problem_of(CELLS["feedforward tanh"]))
    assert found.layers is not None
    assert found.layers.layer.tolist() == [1, 2, 3, 4]
    assert found.values is not None
    for layer in range(4):
        assert 10.0 ** found.layers.log10_weights[layer] == pytest.approx(
            np.linalg.norm(found.values[f"layers[{layer}]"])
        )
    assert found.layers.log10_biases is not None
    assert len(found.share) == 0
    assert "not shared" in (found.share_reason or "")


def test_a_gradient_beyond_float64_has_a_norm_and_no_values() -> None:
    found = of(scalar(10.0, 1000))
    assert found.values is None
    assert "too large for float64" in (found.values_reason or "")
    assert found.log10_norm["weights"] == pytest.approx(999 + np.log10(2000.0))


def test_large_gradients_are_left_out_unless_asked_for() -> None:
    assert of(linear(np.eye(40), 3)).values is None
    assert of(linear(np.eye(40), 3, include=frozenset({"parameter_gradient"}))).values is not None


def test_a_zero_state_leaves_nothing_to_share() -> None:
    found = of(linear(np.array([[0.5]]), 5))
    assert found.log10_norm["weights"] == -np.inf
    assert not found.share.any()
    assert "exactly zero" in (found.share_reason or "")
    assert found.steps_holding_95_percent is None
