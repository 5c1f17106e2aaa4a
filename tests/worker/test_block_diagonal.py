"""A block-diagonal matrix acts as its dense form does, without being formed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import Array
from gradhorizon_service.worker.block_diagonal import BlockDiagonal

NUMBERS = st.floats(-3.0, 3.0)
PAIRS = st.builds(complex, NUMBERS, st.floats(0.01, 3.0))
BLOCKS = st.lists(st.one_of(NUMBERS.map(complex), PAIRS), min_size=1, max_size=5).map(
    lambda values: BlockDiagonal(np.array(values, dtype=np.complex128))
)


def dense(blocks: BlockDiagonal) -> Array:
    """The matrix, block by block."""
    matrix = np.zeros((blocks.size, blocks.size))
    at = 0
    for value in blocks.multipliers:
        if value.imag == 0.0:
            matrix[at, at] = value.real
            at += 1
        else:
            matrix[at : at + 2, at : at + 2] = [[value.real, -value.imag], [value.imag, value.real]]
            at += 2
    return matrix


def vectors(blocks: BlockDiagonal, count: int = 3) -> Array:
    return np.random.default_rng(0).standard_normal((count, blocks.size))


@given(BLOCKS)
def test_products_are_those_of_the_matrix(blocks: BlockDiagonal) -> None:
    v = vectors(blocks)
    assert blocks.times(v) == pytest.approx(v @ dense(blocks).T, abs=1e-12)
    assert blocks.transpose_times(v) == pytest.approx(v @ dense(blocks), abs=1e-12)


@given(BLOCKS)
def test_eigenvalues_are_those_of_the_matrix(blocks: BlockDiagonal) -> None:
    """Compared by their characteristic polynomials: sorting complex numbers is at the mercy of rounding."""
    assert np.poly(blocks.eigenvalues) == pytest.approx(np.poly(dense(blocks)), abs=1e-6)


@given(BLOCKS)
def test_coordinates_undo_modes(blocks: BlockDiagonal) -> None:
    v = vectors(blocks)
    assert np.array_equal(blocks.coordinates(blocks.modes(v)), v)


@given(BLOCKS)
def test_modes_keep_norms(blocks: BlockDiagonal) -> None:
    v = vectors(blocks)
    assert np.linalg.norm(blocks.modes(v), axis=1) == pytest.approx(np.linalg.norm(v, axis=1))


@given(BLOCKS)
def test_gradients_of_a_block_are_the_slopes_of_the_loss(blocks: BlockDiagonal) -> None:
    """L = delta . Lambda h is linear in the entries (a, b) of every block."""
    delta, h = vectors(blocks, 2)
    left, right = blocks.gradient_pairs(delta, h)

    def loss(multipliers: Array) -> float:
        """As long as a real block stays real: its b is no parameter."""
        return float(delta @ BlockDiagonal(multipliers).times(h))

    for index, value in enumerate(blocks.multipliers):
        for step in (1.0, 1j) if value.imag else (1.0,):
            moved = blocks.multipliers.copy()
            moved[index] += step
            slope = loss(moved) - loss(blocks.multipliers)
            product = (left * right)[index]
            assert (product.real if step == 1.0 else product.imag) == pytest.approx(slope, abs=1e-9)


def test_a_real_eigenvalue_takes_one_coordinate_and_a_pair_two() -> None:
    blocks = BlockDiagonal(np.array([1.0, 2j, 3.0]))
    assert (blocks.size, blocks.first.tolist(), blocks.block_of.tolist()) == (4, [0, 1, 3], [0, 1, 1, 2])


def test_a_pair_stays_a_pair_where_its_multiplier_is_real() -> None:
    """What is left of a complex mode that underflows, or does not turn, are two coordinates all the same."""
    blocks = BlockDiagonal(np.array([0.5, 0.0, 2.0]), np.array([True, True, False]))
    assert blocks.size == 5
    assert blocks.eigenvalues.tolist() == [0.5, 0.5, 0.0, 0.0, 2.0]
    v = vectors(blocks)
    assert blocks.times(v) == pytest.approx(v * [0.5, 0.5, 0.0, 0.0, 2.0], abs=1e-15)
    assert np.array_equal(blocks.coordinates(blocks.modes(v)), v)


def test_other_multipliers_act_on_the_same_coordinates() -> None:
    blocks = BlockDiagonal(np.array([0.5j, 2.0])).with_multipliers(np.array([0.25 + 0j, 3.0]))
    assert (blocks.size, blocks.first.tolist()) == (3, [0, 2])


def test_modes_of_pairs_alone_are_a_copy() -> None:
    v = np.ones((1, 2))
    BlockDiagonal(np.array([1j])).modes(v)[:] = 0.0
    assert (v == 1.0).all()
