"""Sums of outer products whose scales are logarithms."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.cells import OuterSum
from gradhorizon_service.worker.parameter_gradients import ScaledArray, log_norms_by_step, total

STEPS, BATCH, ROWS, COLUMNS = 5, 3, 4, 6


def entries(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def outer(batch: int = BATCH) -> OuterSum:
    return OuterSum(entries(STEPS, batch, ROWS), entries(STEPS, batch, COLUMNS))


TERMS = {
    "few sequences": outer(),
    "many sequences": outer(batch=9),
    "bias": OuterSum(entries(STEPS, BATCH, ROWS), None),
    "elementwise": OuterSum(
        entries(STEPS, BATCH, ROWS) + 1j * entries(STEPS, BATCH, ROWS),
        entries(STEPS, BATCH, ROWS) - 2j * entries(STEPS, BATCH, ROWS),
        elementwise=True,
    ),
}

STACKED = OuterSum(
    entries(STEPS, BATCH, 2),
    entries(STEPS, BATCH, COLUMNS),
    below=OuterSum(entries(STEPS, BATCH, 3), 2.0 * entries(STEPS, BATCH, COLUMNS)),
)
"""Two blocks of rows with different right sides, as a GRU has that resets before the product."""


@pytest.fixture(params=TERMS)
def term(request: pytest.FixtureRequest) -> OuterSum:
    return TERMS[request.param]


def parts(term: OuterSum, log_weights: Array) -> Array:
    """Every step's part by the definition, (T, ...)."""
    left = term.left * np.exp(log_weights)[:, :, None]
    if term.right is None:
        return left.sum(axis=1)
    if term.elementwise:
        products = (left * term.right).sum(axis=1)
        return np.stack([products.real, products.imag], axis=-1)
    return np.einsum("tbp,tbq->tpq", left, term.right)


def weights_for(term: OuterSum) -> Array:
    return entries(STEPS, term.left.shape[1])


def test_the_whole_is_the_sum_of_weighted_outer_products(term: OuterSum) -> None:
    log_weights = weights_for(term)
    assert total(term, log_weights).values() == pytest.approx(parts(term, log_weights).sum(axis=0), rel=1e-12)


def test_the_norm_of_each_step_is_that_of_its_part(term: OuterSum) -> None:
    log_weights = weights_for(term)
    by_step = parts(term, log_weights).reshape(STEPS, -1)
    assert np.exp(log_norms_by_step(term, log_weights)) == pytest.approx(
        np.linalg.norm(by_step, axis=1), rel=1e-12
    )


@pytest.mark.parametrize("shift", [-3000.0, 3000.0])
def test_scales_beyond_float64_only_shift_the_logarithm(term: OuterSum, shift: float) -> None:
    log_weights = weights_for(term)
    assert total(term, log_weights + shift).log_norm == pytest.approx(
        total(term, log_weights).log_norm + shift
    )
    moved = log_norms_by_step(term, log_weights + shift)
    assert moved == pytest.approx(log_norms_by_step(term, log_weights) + shift, rel=1e-12)


@pytest.mark.parametrize("left", [1e-250, 1e-12, 1e12])
@pytest.mark.parametrize("right", [1e-250, 1e-160, 1e160, 1e290])
def test_vectors_anywhere_in_float64_give_the_right_logarithm(left: float, right: float) -> None:
    """Slopes go down to 1e-300 and states up to 1e300, where squares are not numbers any more."""
    plain, weights = outer(), np.zeros((STEPS, BATCH))
    far = OuterSum(left * plain.left, right * plain.right)
    shift = np.log(left) + np.log(right)
    assert total(far, weights).log_norm == pytest.approx(total(plain, weights).log_norm + shift, rel=1e-12)
    expected = log_norms_by_step(plain, weights) + shift
    assert log_norms_by_step(far, weights) == pytest.approx(expected, rel=1e-12)


def test_a_dead_sequence_does_not_set_the_scale() -> None:
    """A gradient that was 1e400 when a dead unit stopped it leaves a zero with that scale behind."""
    left, right = np.ones((1, 2, 1)), np.ones((1, 2, 1))
    left[0, 1] = 0.0
    log_weights = np.array([[0.0, 900.0]])
    assert total(OuterSum(left, right), log_weights).log_norm == pytest.approx(0.0)
    assert log_norms_by_step(OuterSum(left, right), log_weights) == pytest.approx([0.0])


def test_small_states_count_where_their_gradients_are_large() -> None:
    """Every lag of a scalar recurrence contributes w^(T-1) alike, though g and h differ by hundreds of decades."""
    lags = np.arange(600)
    right = np.full((600, 1, 1), 1e-200)
    log_weights = np.where(lags < 300, 0.0, -900.0)[:, None]
    log_norms = log_norms_by_step(OuterSum(np.ones((600, 1, 1)), right), log_weights)
    assert log_norms == pytest.approx(log_weights[:, 0] - 200 * np.log(10.0), rel=1e-12)


def test_a_zero_gradient_is_exactly_zero(term: OuterSum) -> None:
    nothing = OuterSum(0.0 * term.left, term.right, term.elementwise)
    assert total(nothing, weights_for(term)).log_norm == -np.inf
    assert (log_norms_by_step(nothing, weights_for(term)) == -np.inf).all()


def test_no_steps_have_no_norms() -> None:
    assert log_norms_by_step(OuterSum(np.zeros((0, 2, 3)), np.zeros((0, 2, 3))), np.zeros((0, 2))).shape == (
        0,
    )


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_a_scaled_array_is_the_array(size: float) -> None:
    array = size * np.array([[3.0, -4.0]])
    scaled = ScaledArray.of(array)
    assert np.abs(scaled.array).max() <= 1.0
    assert scaled.values() == pytest.approx(array, rel=1e-12)
    assert scaled.log_norm == pytest.approx(np.log(5.0) + np.log(size))


def test_a_scaled_array_beyond_float64_has_a_norm_and_no_values() -> None:
    scaled = ScaledArray.of(np.ones(4), 1000.0)
    assert scaled.log_norm == pytest.approx(1000.0 + np.log(2.0))
    assert scaled.values() is None


def blocks() -> tuple[OuterSum, OuterSum]:
    assert STACKED.below is not None
    return OuterSum(STACKED.left, STACKED.right), STACKED.below


def test_blocks_of_rows_come_below_each_other() -> None:
    log_weights = weights_for(STACKED)
    expected = np.concatenate([parts(block, log_weights).sum(axis=0) for block in blocks()])
    assert total(STACKED, log_weights).values() == pytest.approx(expected, rel=1e-12)
    by_step = np.concatenate([parts(block, log_weights) for block in blocks()], axis=1)
    expected_norms = np.log(np.linalg.norm(by_step, axis=(1, 2)))
    assert log_norms_by_step(STACKED, log_weights) == pytest.approx(expected_norms, rel=1e-12)


@pytest.mark.parametrize("zero", [0, 1])
def test_a_zero_block_does_not_decide_the_scale_of_the_other(zero: int) -> None:
    small = ScaledArray(np.ones((2, 3)), -2000.0)
    nothing = ScaledArray.of(np.zeros((2, 3)))
    stacked = small.above(nothing) if zero else nothing.above(small)
    assert stacked.log_norm == pytest.approx(small.log_norm, rel=1e-15)


def test_a_parameter_may_have_axes_of_its_own() -> None:
    left, right = entries(STEPS, BATCH, 6), entries(STEPS, BATCH, 6) + 1.0
    term = OuterSum(left, right, elementwise=True, shape=(3, 2))
    expected = (left * right).sum(axis=(0, 1)).reshape(3, 2)
    assert total(term, np.zeros((STEPS, BATCH))).values() == pytest.approx(expected, rel=1e-13)
