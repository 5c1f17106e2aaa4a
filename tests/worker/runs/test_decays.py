"""Decays of every step: closed forms say what stepping and products of matrices say, and go where those cannot."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from cases import Array, CellCase, problem
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GaussianState, GivenState
from gradhorizon_service.worker.horizon import level_nats
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.parameter_gradients import ScaledArray
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.products.factors import DenseFactors
from gradhorizon_service.worker.products.lyapunov import lyapunov_exponents
from gradhorizon_service.worker.products.transport_norms import transport_peak
from gradhorizon_service.worker.runs.decays import DecaysRun, SteppedDecaysRun

BATCH, STEPS, SIZE, BURN_IN = 3, 40, 4, 7


def entries(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def with_zero(decays: Array, *index: int) -> Array:
    changed = decays.copy()
    changed[index] = 0.0
    return changed


SHARED = entries(STEPS, SIZE)
OWN = entries(BATCH, STEPS, SIZE)
DECAYS: dict[str, Array] = {
    "shared": SHARED,
    "of each sequence": OWN,
    "one sequence for all": OWN[:1],
    "mamba": np.exp(-np.exp(SHARED)),
    "growing": 1.0 + np.abs(SHARED),
    "units": np.sign(SHARED),
    "one dead mode": with_zero(SHARED, STEPS - 3, 1),
    "dead in one sequence": with_zero(OWN, 1, STEPS - 3),
    "dead": with_zero(SHARED, 20),
    "dead in the burn-in": with_zero(SHARED, 2, 1),
    "denormal": 5e-324 * np.sign(SHARED),
    "large": 1e200 * SHARED,
    "far apart": np.array([1e100, 1e-100, 1.0, -1.0]) * SHARED,
}


def undriven(decays: Array, burn_in: int = BURN_IN, **changed: Any) -> Problem:
    chosen: dict[str, Any] = {
        "batch": BATCH,
        "burn_in": burn_in,
        "initial_state": GaussianState(1.0, seed=3),
        "loss": CotangentLoss(entries(BATCH, decays.shape[-1], seed=4)),
    }
    network = CellCase("diagonal", {"decays": decays}).network()
    return problem(network, decays.shape[-2] - burn_in, **{**chosen, **changed})


def both(asked: Problem) -> tuple[DecaysRun, SteppedDecaysRun]:
    quick, slow = runs.start(asked), runs.step_by_step(asked, asked.network.build())
    assert isinstance(quick, DecaysRun)
    assert isinstance(slow, SteppedDecaysRun)
    return quick, slow


def jacobians(decays: Array) -> DenseFactors:
    """The same product as dense matrices, without the burn-in."""
    by_step = np.swapaxes(decays, 0, 1) if decays.ndim == 3 else decays[:, None]
    return DenseFactors(by_step[BURN_IN:, :, :, None] * np.eye(decays.shape[-1]))


STEPPABLE = [name for name in DECAYS if name != "denormal"]
"""Denormal decays lose their digits in a product of two floats, though not in a sum of logarithms."""


@pytest.fixture(params=DECAYS)
def decays(request: pytest.FixtureRequest) -> Array:
    return DECAYS[request.param]


@pytest.fixture(params=STEPPABLE)
def steppable(request: pytest.FixtureRequest) -> Array:
    return DECAYS[request.param]


def close(found: Array, expected: Array, tolerance: float = 1e-10) -> bool:
    """Equal logarithms, minus infinity included."""
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return False
    found, expected = np.where(finite, found, 0.0), np.where(finite, expected, 0.0)
    return bool((np.abs(found - expected) <= tolerance * np.maximum(1.0, np.abs(expected))).all())


def same(found: ScaledArray, expected: ScaledArray) -> bool:
    """Equal arrays whatever their scales."""
    if found.array.shape != expected.array.shape or not close(
        np.array([found.log_norm]), np.array([expected.log_norm])
    ):
        return False
    difference = found.array * np.exp(found.log_scale - expected.log_scale) - expected.array
    return bool(np.abs(difference).max() < 1e-10)


@pytest.mark.parametrize("burn_in", [0, BURN_IN])
def test_states_are_those_of_stepping(steppable: Array, burn_in: int) -> None:
    quick, slow = both(undriven(steppable, burn_in))
    steps = np.array([0, 1, 2, 19, slow.depth])
    assert close(quick.state_log_norms(steps), slow.state_log_norms(steps))
    found, expected = quick.final_state(), slow.final_state()
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * np.abs(expected).max())


def test_final_directions_are_those_of_final_states(steppable: Array) -> None:
    quick, slow = both(undriven(steppable))
    for found, expected in zip(quick.final_direction(), slow.final_direction(), strict=True):
        sizes = np.linalg.norm(found), np.linalg.norm(expected)
        assert (sizes[0] > 0) == (sizes[1] > 0)
        if sizes[0] > 0:
            assert found / sizes[0] == pytest.approx(expected / sizes[1], abs=1e-10)


def test_gradients_are_those_of_stepping(steppable: Array) -> None:
    quick, slow = both(undriven(steppable))
    lags = np.arange(quick.depth + 1)
    assert close(quick.gradient_log_norms(lags), slow.gradient_log_norms(lags))
    for level in (0.9, 0.1, 1e-6):
        assert quick.crossing(level_nats(level)) == slow.crossing(level_nats(level))


@pytest.mark.parametrize("burn_in", [0, BURN_IN])
def test_the_gradient_of_the_decays_is_that_of_stepping(steppable: Array, burn_in: int) -> None:
    quick, slow = both(undriven(steppable, burn_in))
    assert same(quick.parameter_gradients()["decays"], slow.parameter_gradients()["decays"])
    found, expected = (run.shares(np.arange(run.depth)) for run in (quick, slow))
    assert found is not None
    assert expected is not None
    assert close(found.log_norm, expected.log_norm)
    assert found.cumulative_95 == expected.cumulative_95


def test_singular_values_are_those_of_the_product(decays: Array) -> None:
    """One SVD of the product, which is diagonal: every value is exact, in as many digits as it takes."""
    quick = runs.start(undriven(decays))
    by_sequence = decays if decays.ndim == 3 else decays[None]
    expected = []
    for own in by_sequence[:, BURN_IN:]:
        products = [abs(mpmath.fprod(column.tolist())) for column in own.T]
        logs = [float(mpmath.log(p)) if p else -np.inf for p in products]
        expected.append(sorted(logs, reverse=True))
    assert close(quick.singular_values().log_values, np.array(expected), tolerance=1e-12)


@pytest.mark.parametrize(
    "name", ["shared", "of each sequence", "mamba", "growing", "units", "dead", "one dead mode"]
)
def test_the_peak_of_the_transport_is_that_of_dense_products(name: str) -> None:
    found = runs.start(undriven(DECAYS[name])).transport_peak
    expected = transport_peak(jacobians(DECAYS[name]))
    assert close(found.log_peak, expected.log_peak)
    assert close(found.log_norm, expected.log_norm)
    assert found.peak_lag.tolist() == expected.peak_lag.tolist()


@pytest.mark.parametrize("name", ["shared", "of each sequence", "mamba", "growing"])
def test_exponents_are_those_of_dense_products_without_a_transient(name: str) -> None:
    """A QR sweep from a frame that is no eigenbasis needs steps to align; at the same steps the sums agree."""
    found = runs.start(undriven(DECAYS[name])).lyapunov(None)
    expected = lyapunov_exponents(jacobians(DECAYS[name]), transient=0)
    assert found.sum_of_exponents == pytest.approx(expected.sum_of_exponents, rel=1e-10)
    assert found.mean_log_abs_det == pytest.approx(expected.mean_log_abs_det, rel=1e-10)
    logs = np.log(np.abs(DECAYS[name]))[..., BURN_IN:, :].mean(axis=-2).reshape(-1, SIZE)
    assert found.exponents == pytest.approx(-np.sort(-logs, axis=1), rel=1e-12)
    assert found.transient == 0


def test_standard_errors_are_those_of_block_means() -> None:
    """Independent decays: the error of a mean of T logarithms is their deviation over sqrt(T)."""
    logs = 0.3 * entries(20_000, 1, seed=5)
    found = runs.start(undriven(np.exp(logs), 0)).lyapunov(None)
    assert found.standard_errors[0, 0] == pytest.approx(0.3 / np.sqrt(20_000), rel=0.4)
    assert found.blocks == 20
    assert found.converged.all()


def test_an_exponent_of_a_dead_mode_is_minus_infinity() -> None:
    found = runs.start(undriven(DECAYS["one dead mode"])).lyapunov(None)
    assert np.isneginf(found.exponents[0]).tolist() == [False, False, False, True]
    assert np.isneginf(found.mean_log_abs_det[0])  # type: ignore[index]


def test_leading_exponents_are_the_first_of_all() -> None:
    run = runs.start(undriven(SHARED))
    assert np.array_equal(run.lyapunov(2).exponents, run.lyapunov(None).exponents[:, :2])


def test_denormal_decays_keep_every_digit() -> None:
    """5e-324 is 2^-1074: after k steps the gradient is 2^(-1074 k) times what it was."""
    run = runs.start(undriven(DECAYS["denormal"], 0))
    lags = np.arange(STEPS + 1)
    change = run.gradient_log_norms(lags) - run.gradient_log_norms(lags[:1])
    assert change == pytest.approx(np.tile(-1074.0 * np.log(2.0) * lags[:, None], (1, BATCH)), rel=1e-12)


def test_a_mode_far_below_the_others_keeps_its_gradient() -> None:
    """The state is 10^2000 in a mode the loss does not look at, and 1 in the one it does."""
    asked = undriven(
        np.tile([1e50, 1.0], (40, 1)),
        0,
        batch=1,
        initial_state=GivenState(np.ones(2)),
        loss=CotangentLoss(np.array([0.0, 3.0])),
    )
    assert runs.start(asked).parameter_gradients()["decays"].values() == pytest.approx(
        np.tile([0.0, 3.0], (40, 1)), rel=1e-12
    )


def test_a_hundred_thousand_steps_are_sums_of_logarithms() -> None:
    """ln |a_t| = -1e-3 exactly alternating with 1e-3 + 1e-9: norms of the gradient by hand."""
    decays = np.exp(np.where(np.arange(100_000)[:, None] % 2, -1e-3, 1e-3 + 1e-9) * np.ones(3))
    asked = undriven(decays, 0, batch=1, loss=CotangentLoss(np.ones(3)))
    run, lags = runs.start(asked), np.array([0, 2, 1000, 100_000])
    expected = lags / 2 * np.sum(np.log(decays[:2, 0])) + 0.5 * np.log(3.0)
    assert run.gradient_log_norms(lags)[:, 0] == pytest.approx(expected, rel=1e-10)
    assert run.singular_values().reliable.all()


def test_driven_decays_are_stepped_and_keep_their_transport() -> None:
    network = CellCase("diagonal", {"decays": SHARED, "bias": np.ones(SIZE)}).network()
    run = runs.start(problem(network, STEPS))
    assert type(run) is SteppedDecaysRun
    assert close(run.singular_values().log_values, np.sort(np.log(np.abs(SHARED)).sum(axis=0))[None, ::-1])
    states, state = [], np.zeros(SIZE)
    for a in SHARED:
        state = a * state + 1.0
        states.append(np.linalg.norm(state))
    assert np.exp(run.state_log_norms(np.arange(1, STEPS + 1)))[:, 0] == pytest.approx(states, rel=1e-12)


def test_a_driven_burn_in_applies_the_first_decays() -> None:
    network = CellCase("diagonal", {"decays": SHARED, "bias": np.ones(SIZE)}).network()
    burnt = runs.start(problem(network, STEPS - BURN_IN, burn_in=BURN_IN))
    whole = runs.start(problem(network, STEPS))
    steps = np.arange(STEPS - BURN_IN + 1)
    assert close(burnt.state_log_norms(steps), whole.state_log_norms(steps + BURN_IN))
    gradient = burnt.parameter_gradients()["decays"].values()
    expected = whole.parameter_gradients()["decays"].values()
    assert expected is not None
    assert gradient == pytest.approx(expected[BURN_IN:], rel=1e-12)
