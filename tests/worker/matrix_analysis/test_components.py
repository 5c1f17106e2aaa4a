"""The blocks that the zeros of a matrix leave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.matrix_analysis import strong_components


@st.composite
def patterns(draw: st.DrawFn) -> np.ndarray:
    """Square matrices of zeros and ones."""
    size = draw(st.integers(1, 7))
    bits = draw(st.lists(st.booleans(), min_size=size * size, max_size=size * size))
    return np.array(bits, dtype=np.float64).reshape(size, size)


def reachable(matrix: np.ndarray) -> np.ndarray:
    """Which coordinate reaches which, by powers: an independent slow version."""
    steps = np.eye(len(matrix)) + (matrix != 0.0)
    return np.linalg.matrix_power(steps, len(matrix)) > 0.0


@given(patterns())
def test_groups_are_a_partition(matrix: np.ndarray) -> None:
    together = np.concatenate(strong_components(matrix))
    np.testing.assert_array_equal(np.sort(together), np.arange(len(matrix)))


@given(patterns())
def test_groups_are_the_coordinates_that_reach_each_other(matrix: np.ndarray) -> None:
    groups = strong_components(matrix)
    label = {int(i): number for number, group in enumerate(groups) for i in group}
    mutual = reachable(matrix) & reachable(matrix).T
    for i, j in np.ndindex(matrix.shape):
        assert (label[i] == label[j]) == mutual[i, j]


@given(patterns())
def test_matrix_is_block_upper_triangular_in_the_order_of_the_groups(matrix: np.ndarray) -> None:
    groups = strong_components(matrix)
    for number, group in enumerate(groups):
        for later in groups[number + 1 :]:
            assert not matrix[np.ix_(later, group)].any()


def test_upper_triangular_matrix_keeps_its_order() -> None:
    groups = strong_components(np.triu(np.ones((5, 5))))
    np.testing.assert_array_equal(np.concatenate(groups), np.arange(5))


def test_lower_triangular_matrix_is_reversed() -> None:
    groups = strong_components(np.tril(np.ones((5, 5))))
    np.testing.assert_array_equal(np.concatenate(groups), np.arange(5)[::-1])


@pytest.mark.parametrize("matrix", [np.ones((4, 4)), np.roll(np.eye(4), 1, axis=1)])
def test_irreducible_matrix_is_one_group(matrix: np.ndarray) -> None:
    assert len(strong_components(matrix)) == 1
