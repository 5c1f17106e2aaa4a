"""Chains of Jacobians offered as products, and the square core of a rectangular chain."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.products.companion import Companion
from gradhorizon_service.worker.products.factors import (
    DenseFactors,
    Factors,
    Repeated,
    Reversed,
    RowScaled,
    Shifted,
    sequence_of,
    square_core,
)
from gradhorizon_service.worker.products.singular_values import log_singular_values

T, B, N = 5, 3, 4


def gaussian(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


CHAINS: dict[str, Factors] = {
    "dense, shared": DenseFactors(gaussian(0, T, N, N)),
    "dense": DenseFactors(gaussian(1, T, B, N, N)),
    "row scaled": RowScaled(gaussian(2, N, N), gaussian(3, T, B, N)),
    "shifted": Shifted(gaussian(2, N, N), gaussian(3, T, B, N), 0.7),
    "companion, inside": Companion(*gaussian(8, 2, 2, 2), gaussian(9, T, B, 2), 2, inside=True),
    "companion, outside": Companion(*gaussian(8, 2, 1, 1), gaussian(9, T, B, 1), 4, inside=False),
    "repeated": Repeated(gaussian(4, N, N), T),
    "reversed": Reversed(RowScaled(gaussian(5, N, N), gaussian(6, T, B, N))),
}


def product(factors: Factors) -> Array:
    """J_T .. J_1 (B, N, N)."""
    frames: Array = np.broadcast_to(np.eye(factors.size), (factors.batch, factors.size, factors.size))
    for step in range(factors.steps):
        frames = factors.times(step, frames)
    return frames


def singular_values(matrix: Array) -> Array:
    return np.linalg.svd(matrix, compute_uv=False)


@pytest.mark.parametrize("factors", CHAINS.values(), ids=CHAINS)
def test_products_are_those_of_the_dense_jacobians(factors: Factors) -> None:
    frames = gaussian(7, factors.batch, N, 2)
    for step in range(factors.steps):
        J = factors.dense(step)
        assert J.shape == (factors.batch, N, N)
        np.testing.assert_allclose(factors.times(step, frames), J @ frames, atol=1e-13)
        np.testing.assert_allclose(
            factors.transpose_times(step, frames), J.swapaxes(-1, -2) @ frames, atol=1e-13
        )


@pytest.mark.parametrize("factors", CHAINS.values(), ids=CHAINS)
def test_results_are_fresh_arrays(factors: Factors) -> None:
    before = factors.dense(0)
    factors.dense(0)[...] = 0.0
    factors.times(0, np.ones((factors.batch, N, 1)))[...] = 0.0
    np.testing.assert_array_equal(factors.dense(0), before)


@pytest.mark.parametrize("factors", CHAINS.values(), ids=CHAINS)
def test_reversed_factors_make_the_transposed_product(factors: Factors) -> None:
    np.testing.assert_allclose(product(Reversed(factors)), product(factors).swapaxes(-1, -2), rtol=1e-11)


@pytest.mark.parametrize("factors", CHAINS.values(), ids=CHAINS)
def test_one_sequence_has_the_product_it_has_in_the_batch(factors: Factors) -> None:
    last = factors.batch - 1
    np.testing.assert_allclose(product(sequence_of(factors, last))[0], product(factors)[last], rtol=1e-11)


def test_shared_jacobians_take_frames_of_any_batch() -> None:
    frames = gaussian(8, B, N, 2)
    matrix = gaussian(9, N, N)
    np.testing.assert_allclose(Repeated(matrix, T).times(0, frames), matrix @ frames)


@pytest.mark.parametrize(
    "widths",
    [(3, 5, 4), (5, 2, 5, 6), (6, 5, 4, 3), (3, 4, 5, 6), (2, 7), (7, 2)],
    ids=lambda widths: "-".join(map(str, widths)),
)
def test_the_square_core_keeps_the_nonzero_singular_values(widths: tuple[int, ...]) -> None:
    chain = [gaussian(k, *shape) for k, shape in enumerate(zip(widths[1:], widths[:-1], strict=True))]
    core = square_core(chain)
    assert core.size == min(widths)
    whole = np.linalg.multi_dot(chain[::-1]) if len(chain) > 1 else chain[0]
    np.testing.assert_allclose(
        singular_values(product(core)[0])[: min(widths)], singular_values(whole)[: min(widths)], rtol=1e-12
    )


def test_the_square_core_of_a_batch_has_a_product_for_each_sequence() -> None:
    shared, own = gaussian(0, 5, 3), gaussian(1, B, 4, 5)
    core = square_core([shared, own])
    assert (core.size, core.batch) == (3, B)
    np.testing.assert_allclose(singular_values(product(core)), singular_values(own @ shared), rtol=1e-12)


def test_a_square_chain_is_its_own_core() -> None:
    tensors = gaussian(0, T, N, N)
    np.testing.assert_array_equal(square_core(list(tensors)).dense(2)[0], tensors[2])


def test_what_a_layer_annihilates_has_singular_values_of_exactly_zero() -> None:
    """Rounding would leave 1e-17 instead, and a logarithm cannot tell that from a small singular value."""
    rank_one, last = np.outer(gaussian(0, 6), gaussian(1, 4)), gaussian(2, 5, 6)
    values = log_singular_values(square_core([rank_one, last])).log_values[0]
    assert values[0] == pytest.approx(np.log(np.linalg.norm(last @ rank_one)), abs=1e-12)
    assert np.all(values[1:] == -np.inf)
