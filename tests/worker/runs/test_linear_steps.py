"""Cells with the identity and no drive are linear recurrences under another name, and go as deep."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest

from cases import CellCase, linear, problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GaussianState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.runs.powers import PowersRun
from gradhorizon_service.worker.runs.stepped import SteppedRun

N, BATCH, DELAY = 4, 3, 3
W, V = 0.6 * np.random.default_rng(0).standard_normal((2, N, N))
IDENTITY = {"weights": W, "activation": "identity"}
CASES = {
    "rnn": CellCase("rnn", IDENTITY),
    "leaky": CellCase("leaky", {**IDENTITY, "leak_rate": 0.3}),
    "residual": CellCase("residual", {**IDENTITY, "scale": -0.2}),
    "echo state": CellCase("echo_state", {**IDENTITY, "leak_rate": 0.5, "spectral_radius": 0.9}),
    "skip inside": CellCase("skip", {**IDENTITY, "skip_weights": V, "delay": DELAY}),
    "skip outside": CellCase("skip", {**IDENTITY, "skip_weights": V, "delay": DELAY, "combine": "outside"}),
}
# What each does to its state in one step.
EYE, ZERO = np.eye(N), np.zeros((N, N))
STEPS = {
    "rnn": W,
    "leaky": 0.7 * EYE + 0.3 * W,
    "residual": EYE - 0.2 * W,
    "echo state": 0.5 * EYE + 0.5 * W * 0.9 / np.abs(np.linalg.eigvals(W)).max(),
    "skip inside": np.block([[W, ZERO, V], [EYE, ZERO, ZERO], [ZERO, EYE, ZERO]]),
    "skip outside": np.block([[W, ZERO, V], [EYE, ZERO, ZERO], [ZERO, EYE, ZERO]]),
}


def of(name: str, depth: int, **changed: object) -> Problem:
    chosen = {
        "batch": BATCH,
        "initial_state": GaussianState(1.0, seed=3),
        "loss": CotangentLoss(np.random.default_rng(4).standard_normal((BATCH, N))),
    }
    return problem(CASES[name].network(), depth, **{**chosen, **changed})


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("burn_in", [0, 5])
@pytest.mark.parametrize("depth", [1, 29, 3000])
@pytest.mark.parametrize("name", CASES)
def test_powers_and_steps_agree(name: str, depth: int, burn_in: int) -> None:
    asked = of(name, depth, burn_in=burn_in)
    stepped = runs.step_by_step(asked, asked.network.build())
    quick = PowersRun(asked, stepped.cell)  # type: ignore[arg-type]
    lags = np.unique(np.linspace(0, depth, 40).astype(int))
    part = slice(0, N)
    for found, expected in (
        (quick.step_matrix, stepped.step_matrix),
        (quick.gradient_log_norms(lags), stepped.gradient_log_norms(lags)),
        (quick.gradient_log_norms(lags, part), stepped.gradient_log_norms(lags, part)),
        (quick.state_log_norms(lags), stepped.state_log_norms(lags)),
        (unit(quick.final_direction()), unit(stepped.final_direction())),
        (quick.lyapunov(None).exponents[0][:2], stepped.lyapunov(None).exponents[0][:2]),
        (quick.singular_values().log_values[..., 0], stepped.singular_values().log_values[..., 0]),
    ):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert quick.crossing(3.0) == stepped.crossing(3.0)
    shares, others = quick.shares(lags), stepped.shares(lags)
    assert (shares is None) == (others is None)
    if shares is not None and others is not None:
        assert shares.log_norm == pytest.approx(others.log_norm, abs=1e-8)
        assert shares.log_sum == pytest.approx(others.log_sum, abs=1e-8 if shares.is_exact else 0.02)
    gradients, expected_gradients = quick.parameter_gradients(), stepped.parameter_gradients()
    assert set(gradients) == set(expected_gradients)
    for key, gradient in gradients.items():
        other = expected_gradients[key]
        found = gradient.array * np.exp(gradient.log_scale - other.log_scale)
        assert found == pytest.approx(other.array, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_million_steps_are_those_of_the_linear_cell(name: str) -> None:
    depth, lags = 10**6, np.array([0, 1, 1000, 10**6])
    start = perf_counter()
    run = runs.start(of(name, depth, batch=BATCH))
    assert isinstance(run, PowersRun)
    found = run.gradient_log_norms(lags)
    assert perf_counter() - start < 5.0
    width = len(STEPS[name])
    cotangent = np.pad(np.random.default_rng(4).standard_normal((BATCH, N)), ((0, 0), (0, width - N)))
    twin = runs.start(linear(STEPS[name], depth, batch=BATCH, loss=CotangentLoss(cotangent)))
    assert found == pytest.approx(twin.gradient_log_norms(lags), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_what_drives_it_or_cuts_it_short_is_stepped(name: str) -> None:
    assert isinstance(runs.start(of(name, 30, truncate=4)), SteppedRun)
    assert isinstance(runs.start(of(name, 30, every_step=True)), SteppedRun)
