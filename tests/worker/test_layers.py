"""Layers on the states of the layers below them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradhorizon_service.worker.diagnosis import diagnose
from gradhorizon_service.worker.drives import GaussianInputs, GivenInputs
from gradhorizon_service.worker.layers import LayerProblem, LayersProblem, diagnose_layers
from gradhorizon_service.worker.losses import RandomLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem

T, B, D, N = 6, 3, 2, 4
RANDOM = np.random.default_rng(11)
X = RANDOM.standard_normal((T, B, D))


def weights(inputs: int) -> dict[str, np.ndarray]:
    return {
        "weights": RANDOM.standard_normal((N, N)) / 2,
        "input_weights": RANDOM.standard_normal((N, inputs)),
    }


LOW, HIGH, REVERSE = weights(D), weights(2 * N), weights(D)


def problem(
    parameters: dict[str, np.ndarray], inputs: object, burn_in: int = 0, activation: str = "tanh"
) -> Problem:
    return Problem(
        network=NetworkSpec("rnn", {"activation": activation, **parameters}),
        depth=T - burn_in,
        burn_in=burn_in,
        inputs=inputs,
        initial_state=None,
        batch=B,
        loss=RandomLoss(0),
        every_step=False,
        truncate=None,
        clipping=None,
        dtype="float32",
        diagnostics=("gradient_norms",),
        leading=None,
        include=frozenset(),
        horizon_level=0.001,
        tolerance_decades=3.0,
        max_points=64,
        lags=None,
        seed=0,
    )


def hidden(parameters: dict[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """tanh(W h + U x), step by step."""
    h, states = np.zeros((B, N)), []
    for x in inputs:
        h = np.tanh(h @ parameters["weights"].T + x @ parameters["input_weights"].T)
        states.append(h)
    return np.array(states)


def given(inputs: np.ndarray) -> GivenInputs:
    return GivenInputs(np.swapaxes(inputs, 0, 1))


def norms(problem_or_result: object) -> np.ndarray:
    return np.asarray(problem_or_result.diagnostics["gradient_norms"].log10_norm)


def rows(burn_in: int = 0) -> dict[str, LayerProblem]:
    stand_in = GaussianInputs(1.0, B, 2 * N, 0)
    return {
        "low": LayerProblem(problem(LOW, given(X), burn_in)),
        "reverse": LayerProblem(problem(REVERSE, given(X), burn_in), backward=True),
        "high": LayerProblem(problem(HIGH, stand_in, burn_in), below=("low", "reverse")),
        "high_reverse": LayerProblem(
            problem(HIGH, stand_in, burn_in), below=("low", "reverse"), backward=True
        ),
    }


@pytest.mark.parametrize("burn_in", [0, 2])
def test_a_layer_sees_both_directions_below_it_in_the_order_of_time(burn_in: int) -> None:
    results = diagnose_layers(LayersProblem(rows(burn_in)))
    below = np.concatenate([hidden(LOW, X), hidden(REVERSE, X[::-1])[::-1]], axis=-1)
    expected = {
        "reverse": diagnose(problem(REVERSE, given(X[::-1]), burn_in)),
        "high": diagnose(problem(HIGH, given(below), burn_in)),
        "high_reverse": diagnose(problem(HIGH, given(below[::-1]), burn_in)),
    }
    for name, alone in expected.items():
        assert np.abs(norms(results[name].diagnosis) - norms(alone)).max() < 1e-12


def test_a_layer_that_is_not_wanted_feeds_and_reports_nothing() -> None:
    whole = rows()
    partly = {name: replace(row, wanted=name == "high") for name, row in whole.items()}
    results = diagnose_layers(LayersProblem(partly))
    assert list(results) == ["high"]
    every = diagnose_layers(LayersProblem(whole))
    assert np.array_equal(norms(results["high"].diagnosis), norms(every["high"].diagnosis))


def test_a_layer_above_one_that_diverged_says_so() -> None:
    wild = {"weights": np.eye(N) * 1e200, "input_weights": np.ones((N, D))}
    stack = {
        "low": LayerProblem(problem(wild, given(X), activation="relu")),
        "high": LayerProblem(problem(weights(N), GaussianInputs(1.0, B, N, 0)), below=("low",)),
    }
    results = diagnose_layers(LayersProblem(stack))
    assert results["low"].diagnosis is not None
    assert results["low"].diagnosis.outcome.kind == "diverged"
    assert results["high"].diagnosis is None
    assert "low feeds this layer" in (results["high"].reason or "")


def test_mean_gradients_are_those_of_the_parameters() -> None:
    asked = replace(
        problem(LOW, given(X)),
        diagnostics=("gradient_norms", "parameter_gradient"),
        include=frozenset({"parameter_gradient"}),
    )
    (result,) = diagnose_layers(LayersProblem({"low": LayerProblem(asked)})).values()
    assert result.diagnosis is not None
    values = result.diagnosis.diagnostics["parameter_gradient"].values
    for name, array in values.items():
        assert result.log10_mean_gradients[name] == pytest.approx(np.log10(np.mean(np.abs(array))), abs=1e-12)


def test_activity_is_the_share_of_units_that_are_hardly_ever_active() -> None:
    """One unit of four is pushed past 9.4999 at every step."""
    parameters = {**LOW, "weights": np.zeros((N, N)), "bias": np.array([0.0, 0.0, 0.0, 50.0])}
    (result,) = diagnose_layers(LayersProblem({"low": LayerProblem(problem(parameters, given(X)))})).values()
    (activity,) = result.activities
    assert (activity.kind, activity.inactive_percent) == ("tanh", 25.0)
