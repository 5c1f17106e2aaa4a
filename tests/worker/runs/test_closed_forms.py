"""Runs by powers and by eigenvalues say what stepping says, and go where stepping cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import Array, linear
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.drives import GaussianState, GivenState
from gradhorizon_service.worker.horizon import level_nats
from gradhorizon_service.worker.losses import CotangentLoss, SquaredErrorLoss
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.runs import Run
from gradhorizon_service.worker.runs.diagonal import DiagonalRun, SteppedDiagonalRun
from gradhorizon_service.worker.runs.powers import PowersRun
from gradhorizon_service.worker.runs.stepped import SteppedRun

LN10 = np.log(10.0)
BATCH = 3


def entries(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(size: int) -> Array:
    return np.linalg.qr(entries(size, size))[0]


MATRICES: dict[str, Array | BlockDiagonal] = {
    "general": entries(4, 4) / 2.0,
    "symmetric": (entries(4, 4) + entries(4, 4).T) / 3.0,
    "orthogonal": orthogonal(4),
    "triangular": np.triu(entries(4, 4)),
    "singular": entries(4, 2) @ entries(2, 4, seed=1) / 2.0,
    "nilpotent": np.diag([2.0, 3.0, 5.0], 1),
    "uncoupled": np.diag([1.2, 0.8, -0.5, 1.0]),
    "large": 1e200 * orthogonal(4),
    "small": 1e-200 * orthogonal(4),
    "zero": np.zeros((4, 4)),
    "real spectrum": BlockDiagonal(np.array([1.2, 0.8, -0.5, 1.0 + 0j])),
    "pairs": BlockDiagonal(np.array([0.6 + 0.7j, -0.9 + 0.3j])),
    "pair between": BlockDiagonal(np.array([0.9, 0.6 + 0.9j, -1.1])),
    "dead modes": BlockDiagonal(np.array([0.0, 0.6 + 0.7j, 0.0])),
    "large spectrum": BlockDiagonal(np.array([1e200, -3e199, 2e200j])),
}


def driven_by_nothing(weights: Array | BlockDiagonal, depth: int = 37, **changed: object) -> Problem:
    chosen = {
        "batch": BATCH,
        "initial_state": GaussianState(1.0, seed=3),
        "loss": CotangentLoss(entries(BATCH, 4, seed=4)),
    }
    return linear(weights, depth, **{**chosen, **changed})


def both(problem: Problem) -> tuple[Run, SteppedRun]:
    """The run that is picked, and the same problem stepped."""
    quick = runs.start(problem)
    assert isinstance(quick, PowersRun | DiagonalRun)
    return quick, runs.step_by_step(problem, problem.network.build())


@pytest.fixture(params=MATRICES)
def weights(request: pytest.FixtureRequest) -> Array | BlockDiagonal:
    return MATRICES[request.param]


def close(found: Array, expected: Array, tolerance: float = 1e-10) -> bool:
    """Equal logarithms to a relative error of the numbers they stand for, or of themselves where they are large."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    zero = np.isneginf(expected)
    if not np.array_equal(zero, np.isneginf(found)):
        return False
    found, expected = np.where(zero, 0.0, found), np.where(zero, 0.0, expected)
    return bool((np.abs(found - expected) <= tolerance * np.maximum(1.0, np.abs(expected))).all())


@pytest.mark.parametrize("burn_in", [0, 5])
def test_states_are_those_of_stepping(weights: Array | BlockDiagonal, burn_in: int) -> None:
    quick, slow = both(driven_by_nothing(weights, burn_in=burn_in))
    steps = np.array([0, 1, 2, 19, 37])
    assert close(quick.state_log_norms(steps), slow.state_log_norms(steps))


def test_gradients_are_those_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = both(driven_by_nothing(weights))
    lags = np.arange(38)
    assert close(quick.gradient_log_norms(lags), slow.gradient_log_norms(lags))
    assert close(quick.transported_log_norms(lags), slow.transported_log_norms(lags))


@pytest.mark.parametrize("level", [0.9, 0.5, 0.1, 1e-3, 1e-6])
def test_crossings_are_those_of_stepping(weights: Array | BlockDiagonal, level: float) -> None:
    quick, slow = both(driven_by_nothing(weights))
    assert quick.crossing(level_nats(level)) == slow.crossing(level_nats(level))


@pytest.mark.parametrize("burn_in", [0, 5])
def test_parameter_gradients_are_those_of_stepping(weights: Array | BlockDiagonal, burn_in: int) -> None:
    quick, slow = both(driven_by_nothing(weights, burn_in=burn_in))
    found, expected = quick.parameter_gradients()["weights"], slow.parameter_gradients()["weights"]
    assert close(found.log_norm, expected.log_norm)
    if np.isfinite(expected.log_norm):
        difference = found.array * np.exp(found.log_scale - expected.log_scale) - expected.array
        assert np.abs(difference).max() < 1e-10


def test_shares_are_those_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = (run.shares(np.arange(37)) for run in both(driven_by_nothing(weights)))
    assert quick is not None
    assert slow is not None
    assert np.array_equal(quick.lag, slow.lag)
    assert close(quick.log_norm, slow.log_norm)
    assert close(np.array([quick.log_sum]), np.array([slow.log_sum]))
    assert quick.cumulative_95 == slow.cumulative_95


def test_final_states_are_those_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = both(driven_by_nothing(weights))
    found, expected = quick.final_state(), slow.final_state()
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * (np.abs(expected).max() + 1e-300))


def test_final_directions_are_those_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = both(driven_by_nothing(weights))
    expected = slow.final_direction()
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    found = quick.final_direction()
    sizes = np.linalg.norm(found, axis=1, keepdims=True)
    assert np.array_equal(norms == 0.0, sizes == 0.0)
    assert found / np.where(sizes > 0, sizes, 1.0) == pytest.approx(
        expected / np.where(norms > 0, norms, 1.0), abs=1e-10
    )


def test_singular_values_are_those_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = both(driven_by_nothing(weights))
    assert close(quick.singular_values().log_values, slow.singular_values().log_values, tolerance=1e-8)


def test_the_peak_of_the_transport_is_that_of_stepping(weights: Array | BlockDiagonal) -> None:
    quick, slow = (run.transport_peak for run in both(driven_by_nothing(weights)))
    assert close(quick.log_peak, slow.log_peak)
    assert close(quick.log_norm, slow.log_norm, tolerance=1e-9)
    assert quick.peak_lag.tolist() == slow.peak_lag.tolist()


def test_exponents_are_logarithms_of_the_moduli_of_the_eigenvalues(weights: Array | BlockDiagonal) -> None:
    quick = runs.start(driven_by_nothing(weights))
    matrix = weights.times(np.eye(weights.size)).T if isinstance(weights, BlockDiagonal) else weights
    with np.errstate(divide="ignore"):
        expected = np.log(np.sort(np.abs(np.linalg.eigvals(matrix / (np.abs(matrix).max() or 1.0))))[::-1])
        expected += np.log(np.abs(matrix).max() or 1.0)
    found = quick.lyapunov(None).exponents[0]
    resolved = expected > expected[0] - 20.0  # eigvals leaves rounding where an eigenvalue is zero
    assert found[resolved] == pytest.approx(expected[resolved], rel=1e-9, abs=1e-9)
    assert quick.lyapunov(2).exponents[0] == pytest.approx(found[:2])


def test_a_block_that_is_real_has_no_imaginary_part_to_learn() -> None:
    gradient = runs.start(driven_by_nothing(MATRICES["real spectrum"], depth=10**6 + 1)).parameter_gradients()
    assert not gradient["weights"].array[:, 1].any()


# -- beyond stepping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [10.0, 0.1, -2.0, 1e200, 1e-200])
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_scalar_recurrence_is_a_power_at_any_depth(w: float, diagonal: bool) -> None:
    weights = BlockDiagonal(np.array([w + 0j])) if diagonal else np.array([[w]])
    problem = linear(
        weights, 10**6, initial_state=GivenState(np.array([3.0])), loss=CotangentLoss(np.array([2.0]))
    )
    run, lags = runs.start(problem), np.array([0, 1, 999, 10**6])
    growth = lags * np.log(abs(w))
    assert run.gradient_log_norms(lags)[:, 0] == pytest.approx(np.log(2.0) + growth, rel=1e-12)
    assert run.state_log_norms(lags)[:, 0] == pytest.approx(np.log(3.0) + growth, rel=1e-12)
    expected = np.log(6e6) + (10**6 - 1) * np.log(abs(w))
    assert run.parameter_gradients()["weights"].log_norm == pytest.approx(expected, rel=1e-12)
    assert run.singular_values().log_values[0, 0] == pytest.approx(growth[-1], rel=1e-12)


def test_orthogonal_weights_keep_norms_for_a_million_steps() -> None:
    run = runs.start(driven_by_nothing(orthogonal(4), depth=10**6))
    norms = run.gradient_log_norms(np.array([0, 1000, 10**6]))
    assert norms == pytest.approx(np.tile(norms[0], (3, 1)), abs=1e-8)


def test_the_horizon_of_slow_decay_is_exact_at_any_depth() -> None:
    """0.99999^k is below a thousandth from ln(1000) / -ln(0.99999) on."""
    for weights in (np.array([[0.99999]]), BlockDiagonal(np.array([0.99999 + 0j]))):
        found = runs.start(linear(weights, 10**6)).crossing(level_nats(0.001))
        assert (found.decay, found.growth) == (int(np.log(1000.0) / -np.log(0.99999)) + 1, None)


SLOW: dict[str, Array] = {
    "symmetric": 0.9995 * np.diag([1.0, -1.0, 0.5, 0.2]),
    "rotation": 0.9995 * np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([1.0, 1.0]),
    "skewed rotation": np.diag([1.0, 30.0])
    @ np.array([[0.6, -0.8], [0.8, 0.6]])
    @ np.diag([1.0, 1.0 / 30.0]),
    "alternating": np.array([[0.0, 100.0], [0.01, 0.0]]),
}


@pytest.mark.parametrize("name", SLOW)
def test_sampled_shares_are_close_to_all_of_them(name: str) -> None:
    """Beyond 4096 lags the reported ones are exact, and their sum is good to a few percent, in step with W or not."""
    size = len(SLOW[name])
    loss = CotangentLoss(entries(BATCH, size, seed=4))
    quick, slow = both(driven_by_nothing(SLOW[name], depth=6144, loss=loss))
    lags = np.array([0, 1, 10, 1000, 1001, 3000, 6143])
    sampled, exact = quick.shares(lags), slow.shares(lags)
    assert sampled is not None
    assert exact is not None
    assert not sampled.is_exact
    assert close(sampled.log_norm, exact.log_norm, tolerance=1e-9)
    assert sampled.log_sum == pytest.approx(exact.log_sum, abs=0.05)
    assert sampled.cumulative_95 == pytest.approx(exact.cumulative_95, rel=0.02)


def test_a_zero_cotangent_is_zero_at_every_lag() -> None:
    for weights in (MATRICES["general"], MATRICES["pairs"]):
        run = runs.start(driven_by_nothing(weights, loss=CotangentLoss(np.zeros(4))))
        assert np.isneginf(run.gradient_log_norms(np.arange(5))).all()
        assert run.crossing(level_nats(0.1)).first is None
        assert run.parameter_gradients()["weights"].log_norm == -np.inf


def test_a_zero_state_gives_the_weights_no_gradient() -> None:
    for weights in (MATRICES["general"], MATRICES["pairs"]):
        run = runs.start(driven_by_nothing(weights, initial_state=None))
        assert run.parameter_gradients()["weights"].log_norm == -np.inf
        shares = run.shares(np.arange(3))
        assert shares is not None
        assert shares.log_sum == -np.inf
        assert np.isneginf(run.state_log_norms(np.arange(3))).all()


def test_a_nilpotent_recurrence_forgets_everything_at_any_depth() -> None:
    run = runs.start(driven_by_nothing(MATRICES["nilpotent"], depth=5000))
    shares = run.shares(np.array([0, 1, 2500]))
    assert shares is not None
    assert shares.log_sum == -np.inf
    assert np.isneginf(shares.log_norm).all()
    assert run.transport_peak.log_norm[0] == -np.inf
    assert np.isneginf(run.singular_values().log_values).all()


def test_an_eigenvector_that_does_not_grow_has_a_final_state_beside_modes_that_would() -> None:
    weights = BlockDiagonal(np.array([2.0 + 0j, 1.0]))
    run = runs.start(linear(weights, 5000, initial_state=GivenState(np.array([0.0, 1.5]))))
    assert run.final_state() == pytest.approx(np.array([[0.0, 1.5]]))


# -- which run is picked -------------------------------------------------------------------------------------------


def picked(problem: Problem) -> type:
    return type(runs.start(problem))


def test_an_undriven_linear_recurrence_is_run_by_powers() -> None:
    assert picked(driven_by_nothing(MATRICES["general"])) is PowersRun
    assert picked(driven_by_nothing(MATRICES["pairs"])) is DiagonalRun


@pytest.mark.parametrize(
    "changed",
    [
        {"every_step": True},
        {"truncate": 3},
        {"clipping": ClippingPolicy("per_step", 1.0)},
        {"loss": SquaredErrorLoss(np.array(0.0), None, None, "mean")},
    ],
)
def test_what_needs_every_step_is_stepped(changed: dict[str, object]) -> None:
    dense, diagonal = driven_by_nothing(MATRICES["general"]), driven_by_nothing(MATRICES["pairs"])
    assert picked(replace(dense, **changed)) is SteppedRun  # type: ignore[arg-type]
    assert picked(replace(diagonal, **changed)) is SteppedDiagonalRun  # type: ignore[arg-type]


def test_a_bias_is_a_drive() -> None:
    problem = driven_by_nothing(MATRICES["general"])
    biased = replace(problem.network, parameters={**problem.network.parameters, "bias": np.array(1.0)})
    assert picked(replace(problem, network=biased)) is SteppedRun


def test_clipping_parameter_gradients_does_not_need_steps() -> None:
    assert picked(driven_by_nothing(MATRICES["general"], clipping=ClippingPolicy("norm", 1.0))) is PowersRun


@pytest.mark.parametrize("depth", [60, 5000])
def test_a_fast_mode_beside_a_slow_one_keeps_fading(depth: int) -> None:
    """1e-6 to the depth, where 1 stays 1: far below float64, and not zero."""
    start = np.array([0.0, 1.0])
    run = runs.start(
        linear(np.diag([1.0, 1e-6]), depth, loss=CotangentLoss(start), initial_state=GivenState(start))
    )
    assert isinstance(run, PowersRun)
    lags = np.array([0, 1, 30, depth])
    expected = pytest.approx(-6.0 * LN10 * lags[:, None])
    assert run.gradient_log_norms(lags) == expected
    assert run.state_log_norms(lags) == expected
