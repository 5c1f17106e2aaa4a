"""Lyapunov exponents against closed forms, textbook maps, and 200 digits."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from scipy.special import digamma

from cases import delayed_relu
from gradhorizon_service.worker.products.companion import Companion
from gradhorizon_service.worker.products.factors import DenseFactors, Factors, Repeated, RowScaled, Shifted
from gradhorizon_service.worker.products.lyapunov import (
    LyapunovSpectrum,
    exact_spectrum,
    kaplan_yorke_dimension,
    lyapunov_exponents,
)
from high_precision import rank_of_product


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def with_slopes(seed: int, size: int, gain: float, steps: int, batch: int = 1) -> RowScaled:
    """A tanh network h = tanh(W h): slopes from the pre-activation, which 1 - h^2 would round to zero."""
    rng = np.random.default_rng(seed)
    weights, states = gain * rng.standard_normal((size, size)) / size**0.5, rng.standard_normal((batch, size))
    slopes = np.empty((steps, batch, size))
    for t in range(steps):
        drive = states @ weights.T
        decay = np.exp(-2.0 * np.abs(drive))
        slopes[t], states = 4.0 * decay / (1.0 + decay) ** 2, np.tanh(drive)
    return RowScaled(weights, slopes)


def dense(factors: Factors) -> DenseFactors:
    return DenseFactors(np.array([factors.dense(t) for t in range(factors.steps)]))


def henon(steps: int) -> np.ndarray:
    jacobians, (x, y) = np.zeros((steps, 2, 2)), (0.1, 0.1)
    for t in range(-100, steps):
        if t >= 0:
            jacobians[t] = [[-2.8 * x, 1.0], [0.3, 0.0]]
        x, y = 1.0 - 1.4 * x * x + y, 0.3 * x
    return jacobians


def lorenz(steps: int, dt: float) -> np.ndarray:
    """Jacobians of the Runge-Kutta map: the scheme applied to the state and the variational equation together."""

    def rate(full: np.ndarray) -> np.ndarray:
        (x, y, z), jacobian = (
            full[:, 0],
            np.array([[-10.0, 10.0, 0.0], [28.0, -1.0, 0.0], [0.0, 0.0, -8.0 / 3.0]]),
        )
        jacobian[1] += [-z, 0.0, -x]
        jacobian[2] += [y, x, 0.0]
        flow = np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])
        return np.column_stack([flow, jacobian @ full[:, 1:]])

    jacobians, state = np.empty((steps, 3, 3)), np.array([1.0, 1.0, 20.0])
    for t in range(-500, steps):
        full = np.column_stack([state, np.eye(3)])
        k1 = rate(full)
        k2 = rate(full + 0.5 * dt * k1)
        k3 = rate(full + 0.5 * dt * k2)
        full = full + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + rate(full + dt * k3))
        state = full[:, 0]
        if t >= 0:
            jacobians[t] = full[:, 1:]
    return jacobians


def test_the_henon_map_has_its_exponents() -> None:
    found = lyapunov_exponents(DenseFactors(henon(20_000)))
    assert found.exponents[0] == pytest.approx([0.41922, -1.62319], abs=5e-3)
    assert found.sum_of_exponents[0] == pytest.approx(np.log(0.3), abs=1e-12)
    assert found.mean_log_abs_det is not None
    assert found.mean_log_abs_det[0] == pytest.approx(np.log(0.3), abs=1e-13)
    assert found.converged.all()
    assert kaplan_yorke_dimension(found.exponents[0]) == pytest.approx(1.2583, abs=2e-3)


def test_the_lorenz_flow_has_its_exponents() -> None:
    """Per unit of time; the sum is the divergence -(10 + 1 + 8/3), to the accuracy of the integration."""
    found = lyapunov_exponents(DenseFactors(lorenz(20_000, 0.01)))
    assert found.exponents[0] / 0.01 == pytest.approx([0.9056, 0.0, -14.572], abs=0.05)
    assert found.sum_of_exponents[0] / 0.01 == pytest.approx(-41.0 / 3.0, abs=1e-3)
    assert kaplan_yorke_dimension(found.exponents[0]) == pytest.approx(2.062, abs=5e-3)


@pytest.mark.parametrize(("size", "leading"), [(6, None), (40, None), (40, 5)])
def test_products_of_gaussian_matrices_have_newmans_exponents(size: int, leading: int | None) -> None:
    """Entries of variance 1/N: (ln(2/N) + psi((N - i + 1)/2)) / 2, i = 1 .. N (Newman 1986)."""
    found = lyapunov_exponents(DenseFactors(gaussian(1, 800, 1, size, size) / size**0.5), leading=leading)
    expected = (np.log(2.0 / size) + digamma((size - np.arange(size)) / 2.0)) / 2.0
    scores = (found.exponents[0] - expected[:leading]) / found.standard_errors[0]
    assert np.abs(scores).max() < 4.0
    assert np.std(scores) < 2.0


@pytest.mark.parametrize("upper", [True, False])
def test_triangular_factors_have_their_diagonals(upper: bool) -> None:
    matrix = np.diag(np.exp(np.linspace(1.0, -2.0, 12))) + 0.1 * np.triu(gaussian(2, 12, 12), 1)
    matrix = matrix if upper else matrix.T.copy()
    for factors in (RowScaled(matrix, np.ones((600, 2, 12))), DenseFactors(np.tile(matrix, (600, 1, 1)))):
        found = lyapunov_exponents(factors, transient=200)
        assert found.exponents == pytest.approx(
            np.tile(np.linspace(1.0, -2.0, 12), (factors.batch, 1)), abs=1e-12
        )


@pytest.mark.parametrize("size", [5, 24, 48])
def test_symmetric_weights_have_the_logarithms_of_their_eigenvalues(size: int) -> None:
    matrix = np.linalg.qr(gaussian(3, size, size))[0]
    matrix = matrix * np.geomspace(1.5, 0.01, size) @ matrix.T
    expected = np.linspace(np.log(1.5), np.log(0.01), size)
    by_steps = lyapunov_exponents(RowScaled(matrix, np.ones((900, 1, size))), transient=600)
    assert by_steps.exponents[0] == pytest.approx(expected, abs=1e-9)
    assert lyapunov_exponents(Repeated(matrix, 10**6)).exponents[0] == pytest.approx(expected, abs=1e-12)


def exact_sums(factors: RowScaled | Companion) -> np.ndarray:
    """QR at every step with 300 digits, from the same start."""
    size = factors.size
    start = np.linalg.qr(np.random.default_rng(20).standard_normal((size, size)))[0]
    sums = np.zeros(size)
    with mpmath.workdps(300):
        frame = [[mpmath.mpf(float(x)) for x in column] for column in start.T]
        for jacobian in exact_jacobians(factors):
            frame = [[mpmath.fdot(row, column) for row in jacobian] for column in frame]
            for i in range(size):
                for other in frame[:i]:
                    share = mpmath.fdot(other, frame[i])
                    frame[i] = [x - share * y for x, y in zip(frame[i], other, strict=True)]
                norm = mpmath.sqrt(mpmath.fdot(frame[i], frame[i]))
                sums[i] += float(mpmath.log(norm))
                frame[i] = [x / norm for x in frame[i]]
    return np.sort(sums)[::-1]


def exact_jacobians(factors: RowScaled | Companion) -> Iterator[list[list[mpmath.mpf]]]:
    """The matrices that slopes and weights make without rounding."""
    weights, size = factors.matrix, factors.size
    if isinstance(factors, Companion):
        between = np.zeros((len(weights), size - 2 * len(weights)))
        weights = np.hstack([weights, between, factors.delayed])
    rows = [[mpmath.mpf(x) for x in row] for row in weights.tolist()]
    passed_on = [[mpmath.mpf(x) for x in row] for row in np.eye(size)[: size - len(rows)].tolist()]
    for slopes in factors.slopes[:, 0].tolist():
        scaled = [[mpmath.mpf(d) * x for x in row] for d, row in zip(slopes, rows, strict=True)]
        yield scaled + passed_on


@pytest.mark.parametrize("gain", [1.5, 6.0, 60.0])
@pytest.mark.parametrize("size", [5, 12])
def test_saturated_networks_are_right_to_every_digit(size: int, gain: float) -> None:
    """Slopes down to 1e-150, where Householder QR at every step is off by nats."""
    factors = with_slopes(4, size, gain, 12)
    expected = exact_sums(factors)
    for form in (factors, dense(factors)):
        found = lyapunov_exponents(form, transient=0)
        assert found.exponents[0] * 12 == pytest.approx(expected, abs=1e-8)
        assert found.mean_log_abs_det is not None
        assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, rel=1e-12)


@pytest.mark.parametrize("gain", [1.5, 6.0, 20.0])
@pytest.mark.parametrize(("size", "delay"), [(3, 3), (5, 2), (12, 3)])
def test_saturated_delays_are_right_as_far_as_they_say(size: int, delay: int, gain: float) -> None:
    """Slopes down to 1e-40 in some rows, beside rows that are passed on as they are."""
    chain = with_slopes(0, size, gain, 30)
    factors = Companion(chain.matrix, gaussian(15, size, size) / size**0.5, chain.slopes, delay, inside=True)
    found = lyapunov_exponents(factors, transient=0)
    errors = np.abs(found.exponents[0] - exact_sums(factors) / 30)
    assert np.all(errors <= 1e-7 + 20.0 * found.rounding_errors[0])
    assert np.all(found.standard_errors >= found.rounding_errors)
    assert found.rounding_errors.max() < 0.2


@pytest.mark.parametrize("size", [8, 16])
def test_delays_of_relu_units_lose_as_many_directions_as_exact_arithmetic_counts(size: int) -> None:
    for seed in range(6):
        factors = delayed_relu(seed, size, 60)
        found = lyapunov_exponents(factors)
        rank = rank_of_product([factors.dense(t)[0] for t in range(60)])
        assert np.isneginf(found.exponents).sum() == 3 * size - rank


@pytest.mark.parametrize("size", [9, 40])
def test_all_forms_of_a_network_agree(size: int) -> None:
    factors = with_slopes(5, size, 1.5, 300, batch=3)
    whole, explicit = lyapunov_exponents(factors), lyapunov_exponents(dense(factors))
    leading = lyapunov_exponents(factors, leading=size // 5)
    assert explicit.exponents == pytest.approx(whole.exponents, abs=1e-10)
    assert leading.exponents == pytest.approx(whole.exponents[:, : size // 5], abs=1e-10)
    assert leading.standard_errors == pytest.approx(whole.standard_errors[:, : size // 5], abs=1e-9)


def of_other_forms(size: int) -> dict[str, Factors]:
    slopes, other = with_slopes(5, size, 1.5, 200, batch=2), gaussian(15, size, size) / size**0.5
    return {
        "shifted": Shifted(slopes.matrix, 0.3 * slopes.slopes, 0.7),
        "inside": Companion(slopes.matrix, other, slopes.slopes, 2, inside=True),
        "outside": Companion(slopes.matrix, other, slopes.slopes, 3, inside=False),
    }


@pytest.mark.parametrize("size", [3, 9, 40])
@pytest.mark.parametrize("form", ["shifted", "inside", "outside"])
def test_steps_that_keep_or_pass_on_states_have_the_exponents_of_their_dense_selves(
    form: str, size: int
) -> None:
    factors = of_other_forms(size)[form]
    found, explicit = lyapunov_exponents(factors), lyapunov_exponents(dense(factors))
    assert found.exponents == pytest.approx(explicit.exponents, abs=1e-9)
    assert found.mean_log_abs_det == pytest.approx(explicit.mean_log_abs_det, rel=1e-10)
    assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, rel=1e-9)


@pytest.mark.parametrize("at", [0, 30, 59])
def test_a_step_that_undoes_what_it_keeps_is_a_null_direction_at_any_time(at: int) -> None:
    """c I + W with an eigenvalue -c of W, at one step only."""
    size = 20
    frame = np.linalg.qr(gaussian(16, size, size))[0]
    W = frame @ np.diag([-0.5, *np.linspace(0.2, 0.9, size - 1)]) @ frame.T
    slopes = np.full((60, 1, size), 0.8)
    slopes[at] = 1.0
    for factors in (Shifted(W, slopes, 0.5), dense(Shifted(W, slopes, 0.5))):
        found = lyapunov_exponents(factors, transient=0)
        assert np.isneginf(found.exponents[0]).tolist() == [False] * (size - 1) + [True]
        assert found.mean_log_abs_det is not None
        assert np.isneginf(found.mean_log_abs_det).all()


def test_the_number_of_blocks_does_not_change_exponents() -> None:
    factors = with_slopes(6, 40, 1.5, 300)
    one, many = lyapunov_exponents(factors, blocks=1), lyapunov_exponents(factors, blocks=20)
    assert (one.blocks, many.blocks) == (1, 20)
    assert one.exponents == pytest.approx(many.exponents, abs=1e-11)
    assert np.all(one.standard_errors == np.inf)
    assert one.error_reason is not None
    assert not one.converged.any()


def test_a_transient_is_discarded() -> None:
    factors = with_slopes(7, 20, 1.2, 500)
    found = lyapunov_exponents(factors)
    assert (found.transient, found.steps) == (50, 450)
    assert lyapunov_exponents(factors, transient=123).steps == 377


def test_few_steps_have_not_converged() -> None:
    assert not lyapunov_exponents(with_slopes(8, 20, 1.5, 40)).converged.any()


def test_dead_units_give_null_directions_exactly() -> None:
    """The product loses as many directions as the worst step has dead units."""
    slopes = (np.random.default_rng(9).random((200, 2, 40)) < 0.8).astype(np.float64)
    found = lyapunov_exponents(RowScaled(gaussian(10, 40, 40) / 5, slopes))
    dead = (slopes == 0.0).sum(axis=2).max(axis=0)
    assert np.array_equal(np.isneginf(found.exponents).sum(axis=1), dead)
    assert np.all(np.diff(np.isneginf(found.exponents).astype(int), axis=1) >= 0)
    assert found.mean_log_abs_det is not None
    assert np.all(found.mean_log_abs_det == -np.inf)


@pytest.mark.parametrize("size", [16, 32])
def test_one_singular_step_of_many_loses_a_direction_whatever_its_pivots_are_left_with(size: int) -> None:
    """Of so many draws rounding leaves some a pivot that looks regular."""
    for seed in range(40):
        jacobians = gaussian(seed, 20, size, size)
        jacobians[13] = jacobians[13, :, 1:] @ gaussian(100 + seed, size - 1, size)
        found = lyapunov_exponents(DenseFactors(jacobians))
        assert np.isneginf(found.exponents).sum() == 1
        assert found.mean_log_abs_det == -np.inf


@pytest.mark.parametrize("size", [6, 40])
def test_a_rank_deficient_matrix_has_null_directions_despite_rounding(size: int) -> None:
    rank = size - 2
    matrix = gaussian(11, size, rank) @ gaussian(12, rank, size)
    chains: list[Factors] = [
        Repeated(matrix, 50),
        RowScaled(matrix, np.ones((50, 1, size))),
        DenseFactors(np.tile(matrix, (50, 1, 1))),
    ]
    for factors in chains:
        found = lyapunov_exponents(factors)
        assert np.isneginf(found.exponents).sum() == 2
        assert found.mean_log_abs_det is not None
        assert found.mean_log_abs_det[0] == -np.inf


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("size", [1, 5, 40])
def test_extreme_entries_stay_in_range(scale: float, size: int) -> None:
    frame = scale * np.linalg.qr(gaussian(13, size, size))[0]
    chains: list[Factors] = [
        Repeated(frame, 10**6),
        RowScaled(frame, np.ones((40, 2, size))),
        DenseFactors(np.tile(frame, (40, 1, 1))),
    ]
    for factors in chains:
        for leading in (None, 1):
            found = lyapunov_exponents(factors, leading=leading)
            assert found.exponents == pytest.approx(np.full(found.exponents.shape, np.log(scale)), rel=1e-12)


def test_a_leading_part_of_a_batch_is_part_of_its_spectra() -> None:
    """Half of the columns of several sequences, whose Jacobians differ widely in condition."""
    sequences = [gaussian(18 + b, 120, 40, 40) * np.geomspace(1.0, 0.1**b, 40)[:, None] for b in (0, 3, 9)]
    factors = DenseFactors(np.stack(sequences, axis=1))
    whole, half = lyapunov_exponents(factors), lyapunov_exponents(factors, leading=20)
    assert half.exponents == pytest.approx(whole.exponents[:, :20], abs=1e-9)
    for b in range(3):
        alone = lyapunov_exponents(factors.sequence(b))
        assert alone.exponents[0] == pytest.approx(whole.exponents[b], abs=1e-9)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_shortest_chains_have_spectra(steps: int) -> None:
    found = lyapunov_exponents(RowScaled(gaussian(14, 40, 40), np.ones((steps, 1, 40))))
    assert found.steps == steps
    assert np.isfinite(found.exponents).all()
    assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, abs=1e-9)


def test_a_zero_matrix_has_no_finite_exponent() -> None:
    for factors in (Repeated(np.zeros((3, 3)), 5), DenseFactors(np.zeros((20, 2, 3, 3)))):
        found = lyapunov_exponents(factors)
        assert np.all(found.exponents == -np.inf)
        assert np.all(found.standard_errors == 0.0)


def test_closed_forms_are_spectra_too() -> None:
    found: LyapunovSpectrum = exact_spectrum(np.array([0.5, -1.0, -np.inf]), leading=2)
    assert found.size == 3
    assert np.array_equal(found.exponents, [[0.5, -1.0]])
    assert found.mean_log_abs_det == -np.inf


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.9056, 0.0, -14.572], 2.0 + 0.9056 / 14.572),
        ([1.0, -np.inf], 1.0),
        ([0.5, 0.25, -0.75], 3.0),
        ([-0.1, -0.2], None),
        ([0.0, -1.0], None),
        ([1.0, 0.5], None),
        ([], None),
    ],
)
def test_kaplan_yorke_dimensions(exponents: list[float], dimension: float | None) -> None:
    assert kaplan_yorke_dimension(np.array(exponents)) == (
        None if dimension is None else pytest.approx(dimension)
    )
