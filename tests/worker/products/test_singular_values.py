"""Every singular value of long products against hundreds of digits, closed forms and identities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import Array, delayed_relu
from gradhorizon_service.worker.products.companion import Companion
from gradhorizon_service.worker.products.factors import (
    DenseFactors,
    Factors,
    Repeated,
    Reversed,
    RowScaled,
    Shifted,
)
from gradhorizon_service.worker.products.singular_values import LogSingularValues, log_singular_values
from high_precision import log_singular_values_of_power, log_singular_values_of_product, rank_of_product

SIZE, STEPS = 16, 1000


def gaussian(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(seed: int, *shape: int) -> Array:
    return np.linalg.qr(gaussian(seed, *shape))[0]


def tanh_slopes(weights: Array, steps: int, batch: int, seed: int = 0) -> Array:
    """Of h' = tanh(W h + b), from the pre-activation, since 1 - h^2 of a saturated unit is zero in float64."""
    rng = np.random.default_rng(seed)
    states, bias = rng.standard_normal((batch, len(weights))), rng.standard_normal(len(weights))
    slopes = np.empty((steps, batch, len(weights)))
    for t in range(steps):
        drive = states @ weights.T + bias
        decay = np.exp(-2.0 * np.abs(drive))
        slopes[t], states = 4.0 * decay / (1.0 + decay) ** 2, np.tanh(drive)
    return slopes


def grcar(size: int) -> Array:
    return 0.3 * (np.triu(np.ones((size, size))) - np.triu(np.ones((size, size)), 4) - np.eye(size, k=-1))


def rotations(scales: Array) -> Array:
    """A block diagonal of scaled rotations, every scale twice."""
    angles = 0.7 * np.arange(1, len(scales) + 1)
    blocks = scales[:, None, None] * np.stack(
        [np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], 1
    ).reshape(-1, 2, 2)
    matrix = np.zeros((2 * len(scales), 2 * len(scales)))
    for k, block in enumerate(blocks):
        matrix[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = block
    return matrix


def steady(size: int, steps: int, seed: int = 0) -> tuple[DenseFactors, Array]:
    """J_t = Q_t D Q_(t-1)^T, whose product is Q_T D^T Q_0^T, and the logarithms of D^T."""
    frames, scales = orthogonal(seed, steps + 1, size, size), np.linspace(1.2, 0.3, size)
    return DenseFactors(frames[1:] * scales @ frames[:-1].swapaxes(-1, -2)), steps * np.log(scales)


def assert_right(found: LogSingularValues, expected: Array, error: float = 1e-8) -> None:
    """Within the promised error, said to be reliable, and sorted."""
    np.testing.assert_array_less(
        np.abs(found.log_values - expected), error * np.maximum(1.0, np.abs(found.log_values))
    )
    assert found.reliable.all()
    assert found.reason is None
    assert np.all(np.diff(found.log_values, axis=1) <= 0.0)


# -- against hundreds of digits ------------------------------------------------------------------------------

SHARED = {
    "Grcar": (grcar(SIZE), 250),
    "triangular, ascending": (
        np.triu(gaussian(1, SIZE, SIZE), 1) / 4 + np.diag(np.linspace(0.3, 1, SIZE)),
        800,
    ),
    "shift and noise": (np.eye(SIZE, k=-1) + 2.5e-4 * gaussian(2, SIZE, SIZE), 1000),
    "Gaussian": (gaussian(3, SIZE, SIZE) / 4, 1800),
    "Jordan block": (0.9 * np.eye(SIZE) + np.eye(SIZE, k=1), 200),
}


@pytest.mark.parametrize(("matrix", "digits"), SHARED.values(), ids=SHARED)
def test_a_thousand_shared_factors_are_resolved_to_the_last_decade(matrix: Array, digits: int) -> None:
    expected = log_singular_values_of_power(matrix, STEPS, digits)
    assert_right(log_singular_values(Repeated(matrix, STEPS)), expected)


def saturated() -> Factors:
    weights = 6.0 * gaussian(4, 6, 6) / 6**0.5
    return RowScaled(weights, tanh_slopes(weights, 60, 1))


UNSHARED = {
    "Gaussian": DenseFactors(gaussian(5, 60, 8, 8)),
    "saturated tanh": saturated(),
    "slopes down to 1e-40": RowScaled(
        gaussian(6, 5, 5), 10.0 ** -np.random.default_rng(7).uniform(0, 40, (30, 1, 5))
    ),
    "rows of any scale": DenseFactors(gaussian(8, 40, 5, 5) * 10.0 ** -np.arange(0, 50, 10.0)[:, None]),
    "columns of any scale": DenseFactors(gaussian(8, 40, 5, 5) * 10.0 ** -np.arange(0, 50, 10.0)),
    "units of any scale": DenseFactors(
        gaussian(9, 20, 4, 4) * 10.0 ** (np.arange(0, 40, 10.0)[:, None] - np.arange(0, 40, 10.0))
    ),
    "entries of 1e200": DenseFactors(1e200 * gaussian(10, 20, 5, 5)),
    "entries of 1e-200": DenseFactors(1e-200 * gaussian(10, 20, 5, 5)),
    "entries of 1e-200 and of 1e200": DenseFactors(gaussian(11, 5, 3, 3) * [[1e-200], [1.0], [1e200]]),
    "triangles that shrink a unit, then let it grow": DenseFactors(
        np.stack([[[0.1, 0.0], [0.5, 1.0]]] * 30 + [[[10.0, 0.0], [0.5, 1.0]]] * 30)
    ),
}


@pytest.mark.parametrize("factors", UNSHARED.values(), ids=UNSHARED)
def test_factors_of_any_scale_are_resolved(factors: Factors) -> None:
    jacobians = [factors.dense(step)[0] for step in range(factors.steps)]
    assert_right(log_singular_values(factors), log_singular_values_of_product(jacobians, 2600))


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 12), st.sampled_from([0.0, 0.3, 3.0, 12.0]))
@settings(max_examples=40)
def test_whatever_is_called_reliable_is_right(seed: int, size: int, steps: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.uniform(size=(steps, size, size)) < rng.choice([0.5, 1.0])
    jacobians = np.where(dense, rng.standard_normal((steps, size, size)), 0.0)
    jacobians *= 10.0 ** rng.uniform(-decades, 0.0, (steps, size, 1))
    found = log_singular_values(DenseFactors(jacobians))
    if found.reliable[0]:
        expected = log_singular_values_of_product(jacobians, 450)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(found.log_values[0]), finite)
        np.testing.assert_allclose(found.log_values[0, finite], expected[finite], rtol=1e-8, atol=1e-8)


# -- closed forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 16, 40])
def test_orthogonal_factors_keep_norms(size: int) -> None:
    assert_right(log_singular_values(DenseFactors(orthogonal(0, 200, size, size))), np.zeros(size), 1e-11)


@pytest.mark.parametrize("size", [5, 20, 40])
def test_factors_that_stretch_the_same_directions_multiply(size: int) -> None:
    factors, expected = steady(size, 150)
    assert_right(log_singular_values(factors), expected, 1e-11)


def test_a_symmetric_matrix_has_the_powers_of_its_eigenvalues() -> None:
    """1000 decades between the largest and the smallest."""
    frame, eigenvalues = orthogonal(0, SIZE, SIZE), np.linspace(1.0, 0.1, SIZE)
    found = log_singular_values(Repeated(frame * eigenvalues @ frame.T, STEPS))
    assert_right(found, STEPS * np.log(eigenvalues), 1e-11)


def test_scaled_rotations_are_right_in_any_order() -> None:
    scales = np.linspace(0.4, 1.0, 8)
    expected = STEPS * np.log(np.repeat(scales, 2)[::-1])
    assert_right(log_singular_values(Repeated(rotations(scales), STEPS)), expected, 1e-12)


def test_diagonal_factors_multiply_entry_by_entry() -> None:
    """Whatever happens on the way: here one coordinate loses 500 decades and gains them back."""
    entries = np.ones((1000, 3))
    entries[:500, 0], entries[500:, 0], entries[:, 1] = 0.1, 10.0, 1e-200
    factors = DenseFactors(np.eye(3) * entries[:, None])
    assert_right(log_singular_values(factors), np.array([0.0, 0.0, -1000 * 200 * np.log(10.0)]), 1e-12)


def test_scales_from_1e_minus_200_to_1e200_meet_in_one_factor() -> None:
    found = log_singular_values(Repeated(np.diag([1e-200, 1.0, 1e200]), STEPS))
    assert_right(found, STEPS * np.log([1e200, 1.0, 1e-200]), 1e-13)


def test_one_factor_has_the_singular_values_of_numpy() -> None:
    matrix = gaussian(0, 7, 7)
    assert_right(
        log_singular_values(Repeated(matrix, 1)), np.log(np.linalg.svd(matrix, compute_uv=False)), 1e-13
    )


def test_no_factor_is_the_identity() -> None:
    assert_right(log_singular_values(DenseFactors(np.zeros((0, 2, 3, 3)))), np.zeros((2, 3)), 1e-300)


def test_a_single_unit_adds_logarithms() -> None:
    slopes = np.random.default_rng(0).uniform(0.1, 2.0, (STEPS, 3, 1))
    found = log_singular_values(RowScaled(np.array([[-0.5]]), slopes))
    assert_right(found, np.log(0.5 * slopes).sum(axis=0), 1e-13)


# -- identities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [6, 40])
def test_logarithms_add_up_to_those_of_the_determinants(size: int) -> None:
    tensor = gaussian(0, 100, size, size)
    found = log_singular_values(DenseFactors(tensor))
    assert found.log_values.sum() == pytest.approx(np.linalg.slogdet(tensor)[1].sum(), abs=1e-8)
    assert found.log_determinant_gap[0] < 1e-8


@pytest.mark.parametrize("size", [6, 40])
def test_the_transposed_product_has_the_same_singular_values(size: int) -> None:
    factors = DenseFactors(gaussian(1, 100, size, size))
    found = log_singular_values(Reversed(factors))
    assert_right(found, log_singular_values(factors).log_values, 1e-9)


@pytest.mark.parametrize("size", [5, 33])
def test_sequences_of_a_batch_do_not_meet(size: int) -> None:
    weights = 1.5 * gaussian(2, size, size) / size**0.5
    slopes = tanh_slopes(weights, 50, 3)
    found = log_singular_values(RowScaled(weights, slopes))
    for b in range(3):
        alone = log_singular_values(RowScaled(weights, slopes[:, b : b + 1]))
        np.testing.assert_allclose(found.log_values[b], alone.log_values[0], atol=1e-9)


def test_coordinates_that_never_meet_are_treated_apart() -> None:
    first, second = gaussian(3, 50, 4, 4), gaussian(4, 50, 2, 2)
    both = np.zeros((50, 6, 6))
    both[:, :4, :4], both[:, 4:, 4:] = first, second
    order = np.random.default_rng(5).permutation(6)
    parts = [log_singular_values(DenseFactors(part)).log_values[0] for part in (first, second)]
    expected = np.sort(np.concatenate(parts))[::-1]
    assert_right(log_singular_values(DenseFactors(both[:, order][:, :, order])), expected, 1e-9)


@pytest.mark.parametrize("size", [8, 36])
def test_any_object_that_offers_products_will_do(size: int) -> None:
    class Leaky:
        """J_t = 0.7 I + 0.3 diag(d_t) W, as a leaky unit has it."""

        steps, batch = 40, 2

        def __init__(self) -> None:
            self.size = size
            self._inner = RowScaled(gaussian(6, size, size), np.abs(gaussian(7, 40, 2, size)))

        def times(self, step: int, frames: Array) -> Array:
            return 0.7 * frames + 0.3 * self._inner.times(step, frames)

        def transpose_times(self, step: int, frames: Array) -> Array:
            return 0.7 * frames + 0.3 * self._inner.transpose_times(step, frames)

        def dense(self, step: int) -> Array:
            return 0.7 * np.eye(size) + 0.3 * self._inner.dense(step)

    factors = Leaky()
    explicit = DenseFactors(np.stack([factors.dense(step) for step in range(40)]))
    assert_right(log_singular_values(factors), log_singular_values(explicit).log_values, 1e-9)


# -- exact zeros ---------------------------------------------------------------------------------------------


def test_a_zero_factor_leaves_nothing() -> None:
    tensor = gaussian(0, 5, 4, 4)
    tensor[2] = 0.0
    found = log_singular_values(DenseFactors(tensor))
    assert np.all(found.log_values == -np.inf)
    assert found.reliable[0]


@pytest.mark.parametrize("size", [2, 8, 16])
def test_a_shift_leaves_nothing_after_as_many_steps_as_it_has_units(size: int) -> None:
    shift, frame = np.eye(size, k=1), orthogonal(0, size, size)
    for matrix in (shift, frame @ shift @ frame.T):
        assert np.all(log_singular_values(Repeated(matrix, STEPS)).log_values == -np.inf)
        values = log_singular_values(Repeated(matrix, size - 1)).log_values[0]
        assert values[0] == pytest.approx(0.0, abs=1e-12)
        assert np.all(values[1:] == -np.inf)


def test_rank_one_factors_leave_one_direction() -> None:
    """(u v^T)^T = (v . u)^(T - 1) u v^T."""
    u, v = gaussian(0, 6), gaussian(1, 6)
    found = log_singular_values(Repeated(np.outer(u, v), 50))
    expected = 49 * np.log(abs(u @ v)) + np.log(np.linalg.norm(u) * np.linalg.norm(v))
    assert found.log_values[0, 0] == pytest.approx(expected, rel=1e-12)
    assert np.all(found.log_values[0, 1:] == -np.inf)
    assert found.reliable[0]


def test_a_relu_network_keeps_as_many_directions_as_units_at_its_narrowest_step() -> None:
    """Units switched off are left out of the rectangular chain that they are compared with."""
    size, steps = 7, 12
    weights, active = gaussian(2, size, size), np.random.default_rng(3).uniform(size=(steps, size)) < 0.7
    found = log_singular_values(RowScaled(weights, active[:, None] * 1.0))
    chain = [weights[active[0]]]
    chain += [weights[np.ix_(now, before)] for before, now in pairwise(active)]
    narrowest = int(active.sum(axis=1).min())
    expected = log_singular_values_of_product([np.asarray(J) for J in chain], 100)[:narrowest]
    np.testing.assert_allclose(found.log_values[0, :narrowest], expected, rtol=1e-10, atol=1e-10)
    assert np.all(found.log_values[0, narrowest:] == -np.inf)
    assert found.reliable[0]


@pytest.mark.parametrize("size", [4, 8, 16])
def test_delays_of_relu_units_keep_as_many_directions_as_exact_arithmetic_counts(size: int) -> None:
    """A unit that was off is passed on as a row of zeros, which rounding must not fill."""
    for seed in range(6):
        factors = delayed_relu(seed, size, 60)
        found = log_singular_values(factors)
        assert found.reliable[0]
        assert np.isfinite(found.log_values).sum() == rank_of_product(
            [factors.dense(t)[0] for t in range(60)]
        )


def test_delays_of_relu_units_are_right_to_every_digit() -> None:
    factors = delayed_relu(2, 4, 60)
    found = log_singular_values(factors).log_values[0]
    expected = log_singular_values_of_product([factors.dense(t)[0] for t in range(60)], 200)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


# -- honesty -------------------------------------------------------------------------------------------------


def test_a_product_that_float64_does_not_determine_is_not_called_reliable() -> None:
    """100 decades lost and won back along directions that are only known to 16 digits."""
    frame, size = orthogonal(0, 40, 40), 40
    down, up = np.ones(size), np.ones(size)
    down[0], up[0] = 0.1, 10.0
    factors = np.stack([frame * down @ frame.T] * 100 + [frame * up @ frame.T] * 100)
    found = log_singular_values(DenseFactors(factors))
    assert not found.reliable[0]
    assert found.estimated_error[0] > 1e-9
    assert "rounding errors" in str(found.reason)


def test_one_unreliable_sequence_leaves_the_others_reliable() -> None:
    frame, ones = orthogonal(0, 40, 40), np.ones((200, 40))
    unstable = ones.copy()
    unstable[:100, 0], unstable[100:, 0] = 0.1, 10.0
    factors = frame * np.stack([ones, unstable], axis=1)[:, :, None, :] @ frame.T
    found = log_singular_values(DenseFactors(factors))
    assert found.reliable.tolist() == [True, False]
    assert "1 of 2 sequences" in str(found.reason)


def test_what_float64_cannot_resolve_is_resolved_in_integers_while_that_is_cheap() -> None:
    """A relative error of 1e-16 in one entry of the block changes the result by whole nats."""
    found = log_singular_values(Repeated(*(0.9 * np.eye(SIZE) + np.eye(SIZE, k=1), STEPS)))
    assert found.algorithm == "integer product"
    assert found.reliable[0]


def _retaining() -> dict[str, Factors]:
    W, V = 1.5 * gaussian(70, 2, 6, 6) / 6**0.5
    slopes = tanh_slopes(W, 60, 2)
    return {
        "shifted": Shifted(W, 0.4 * slopes, 0.6),
        "shifted, in blocks": Shifted(
            np.kron(np.diag([1.0, 0.0, 0.0]), V[:2, :2]) + np.diag(W[0]), slopes, 0.6
        ),
        "companion": Companion(W[:3, :3], V[:3, :3], slopes[:, :, :3], 2, inside=True),
        "companion, outside": Companion(W[:2, :2], V[:2, :2], slopes[:, :, :2], 3, inside=False),
    }


@pytest.mark.parametrize("form", _retaining())
def test_steps_that_keep_or_pass_on_states_have_singular_values_of_extended_precision(form: str) -> None:
    factors = _retaining()[form]
    found = log_singular_values(factors)
    assert found.reliable.all()
    for b in range(2):
        jacobians = [factors.dense(step)[b] for step in range(factors.steps)]
        assert found.log_values[b] == pytest.approx(log_singular_values_of_product(jacobians, 400), abs=1e-8)
