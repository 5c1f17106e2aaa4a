"""Theory beside measurement: wide ensembles grow as predicted, and what is no ensemble is told why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cases import problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.diagnostics.mean_field import (
    MeanFieldOfRun,
    mean_field_of_run,
    without_ensemble,
)
from gradhorizon_service.worker.drives import GaussianInputs, GaussianState, GivenInputs
from gradhorizon_service.worker.losses import RandomLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem
from gradhorizon_service.worker.sources import EnsembleSource, MatrixSource, Rescale

SIZE, DEPTH, BATCH = 300, 40, 4


def gaussian(gain: float = 1.0, size: int = SIZE, **more: Any) -> EnsembleSource:
    return EnsembleSource("gaussian", size=size, gain=gain, seed=3, **more)


def rnn(weights: Any, activation: str = "tanh", **more: Any) -> NetworkSpec:
    return NetworkSpec("rnn", {"weights": weights, "activation": activation, **more})


def feedforward(layers: Any, activation: str, depth: int = DEPTH, **more: Any) -> NetworkSpec:
    drawn = None if isinstance(layers, list) else depth
    return NetworkSpec("feedforward", {"layers": layers, "activation": activation, **more}, drawn)


def posed(network: NetworkSpec, depth: int = DEPTH, **changed: Any) -> Problem:
    state = GaussianState(1.0, seed=8)
    return problem(
        network, depth, **{"initial_state": state, "batch": BATCH, "loss": RandomLoss(5), **changed}
    )


def of(network: NetworkSpec, depth: int = DEPTH, **changed: Any) -> MeanFieldOfRun:
    found = posed(network, depth, **changed)
    assert without_ensemble(found) is None
    return mean_field_of_run(runs.start(found))


@pytest.mark.parametrize(
    ("family", "activation", "gain", "chi_1"),
    [
        ("gaussian", "identity", 1.2, 1.44),
        ("he", "relu", 1.0, 1.0),
        ("uniform", "tanh", 1.5, None),
        ("lecun", "sigmoid", 4.0, None),
        ("torch_default", "identity", 2.0, 4 / 3),
        ("glorot", "hard_tanh", 1.3, None),
    ],
)
def test_unshared_layers_grow_as_predicted(
    family: str, activation: str, gain: float, chi_1: float | None
) -> None:
    found = of(feedforward(EnsembleSource(family, size=SIZE, gain=gain, seed=1), activation))
    if chi_1 is not None:
        assert found.chi_1 == pytest.approx(chi_1)
        assert found.predicted_log10_growth_per_step == pytest.approx(math.log10(chi_1) / 2)
    measured = found.measured_log10_growth_per_step
    assert measured == pytest.approx(found.predicted_log10_growth_per_step, abs=0.006)


@pytest.mark.parametrize("gain", [0.5, 1.2, 2.0, 4.0])
def test_driven_recurrence_grows_as_its_untied_approximation(gain: float) -> None:
    network = rnn(gaussian(gain), input_weights=EnsembleSource("gaussian", shape=(SIZE, 5), seed=4))
    found = of(network, inputs=GaussianInputs(1.0, BATCH, 5, seed=7))
    assert found.weight_variance == pytest.approx(gain**2)
    assert found.bias_variance == pytest.approx(1.0, rel=0.2)
    assert found.measured_log10_growth_per_step == pytest.approx(
        found.predicted_log10_growth_per_step, abs=0.03
    )
    assert "afresh at every step" in found.says


def test_linear_recurrence_keeps_all_lags() -> None:
    found = of(NetworkSpec("linear", {"weights": gaussian(0.9)}))
    assert found.measured_over_lags == DEPTH
    assert found.measured_log10_growth_per_step == pytest.approx(math.log10(0.9), abs=0.01)


def test_bias_variance_is_the_mean_square_of_bias_and_drive() -> None:
    x = np.random.default_rng(0).standard_normal((BATCH, DEPTH, 2)) + 0.5
    U = np.random.default_rng(1).standard_normal((20, 2))
    b, c = np.random.default_rng(2).standard_normal((2, 20))
    network = rnn(gaussian(size=20), input_weights=MatrixSource(U), input_bias=b, recurrent_bias=c)
    found = of(network, inputs=GivenInputs(x))
    assert found.bias_variance == pytest.approx(np.mean(np.square(x @ U.T + b + c)), rel=1e-12)


def test_bias_variance_of_layers_is_the_mean_square_of_their_biases() -> None:
    biases = [np.array([3.0, 1.0]), np.array(2.0)]
    layers = [EnsembleSource("gaussian", size=2, seed=k) for k in range(2)]
    assert of(feedforward(layers, "tanh", biases=biases), 2).bias_variance == pytest.approx(
        (9 + 1 + 4 + 4) / 4
    )


def test_growth_is_the_root_mean_square_over_sequences() -> None:
    run = runs.start(posed(rnn(gaussian(1.5, size=8)), burn_in=1000))
    log_norms = run.transported_log_norms(np.array([0, DEPTH]))
    ratios = np.exp(log_norms[1] - log_norms[0])
    found = mean_field_of_run(run)
    assert found.measured_over_lags == DEPTH  # lengths settled during the burn-in
    expected = math.log10(math.sqrt(np.mean(ratios**2))) / DEPTH
    assert found.measured_log10_growth_per_step == pytest.approx(expected, rel=1e-12)


def test_steps_in_which_lengths_settle_are_left_out() -> None:
    found = of(rnn(gaussian(1.5, size=8), bias=np.array(0.3)))
    assert found.measured_over_lags == DEPTH - math.ceil(4 * found.xi_q)


def test_dead_gradient_has_no_growth() -> None:
    found = of(rnn(gaussian(size=4), "relu", bias=np.array(-1e3)))
    assert found.measured_log10_growth_per_step is None
    assert "exactly zero" in str(found.measured_log10_growth_per_step_reason)


@pytest.mark.parametrize("bias", [1e-200, 1e200])
def test_biases_beyond_the_theory_are_taken_as_its_ends(bias: float) -> None:
    run = runs.start(posed(rnn(gaussian(0.5, size=4), bias=np.array(bias))))
    found = mean_field_of_run(run)
    assert found.bias_variance == (0.0 if bias < 1 else 1e150)
    assert bool(run.warnings) == (bias > 1)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (rnn(MatrixSource(np.eye(2))), "given, not drawn"),
        (rnn(EnsembleSource("orthogonal", size=4)), "independent entries"),
        (rnn(EnsembleSource("keras_default", size=4)), "independent entries"),
        (rnn(gaussian(size=4, rescale=Rescale("spectral_radius", 1.0))), "rescaled"),
        (rnn(gaussian(0.0, size=4)), "variance is zero"),
        (rnn(gaussian(1e200, size=4)), "beyond 1e+150"),
        (feedforward(gaussian(size=4), "tanh", residual=True), "residual"),
        (feedforward([gaussian(1.0, size=4), gaussian(2.0, size=4)], "tanh"), "one variance and width"),
        (feedforward([EnsembleSource("gaussian", shape=(3, 4))], "tanh"), "constant width"),
        (NetworkSpec("jacobians", {"values": np.ones((3, 2, 2))}), "plain layers"),
    ],
)
def test_what_is_no_ensemble_of_plain_layers_is_told_why(network: NetworkSpec, says: str) -> None:
    assert says in str(without_ensemble(problem(network, 3)))
