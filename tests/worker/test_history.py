"""Arrays of one loop, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.history import History


def filled(uniform: bool, *arrays: np.ndarray, length: int = 8) -> History:
    history = History(length, uniform)
    for array in arrays:
        history.append(array)
    return history


@pytest.mark.parametrize("uniform", [True, False])
def test_arrays_come_back_in_order(uniform: bool) -> None:
    values = filled(uniform, np.ones((2, 3)), np.zeros((2, 3))).values()
    assert [float(array.sum()) for array in values] == [6.0, 0.0]


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_array_that_is_not_finite_is_found(uniform: bool, bad: float) -> None:
    history = filled(uniform, np.ones(2), np.ones(2), np.array([0.0, bad]), np.ones(2))
    assert history.count_finite() == 2


def test_an_array_that_is_not_finite_is_found_behind_many_that_are() -> None:
    history = History(3000, uniform=True)
    for step in range(3000):
        history.append(np.full((1, 1000), np.nan if step == 2345 else 1.0))
    assert history.count_finite() == 2345


def test_a_block_keeps_copies() -> None:
    array = np.ones(2)
    history = filled(True, array)
    array[:] = 0.0
    assert history.values()[0].tolist() == [1.0, 1.0]


def test_arrays_of_different_sizes_are_kept_as_a_list() -> None:
    assert [len(array) for array in filled(False, np.ones(2), np.ones(5)).values()] == [2, 5]


def test_nothing_appended_is_an_empty_sequence() -> None:
    assert len(History(0, True).values()) == 0


def test_a_block_of_other_rows_is_left_alone() -> None:
    block = np.zeros((2, 3))
    history = History(2, True, block)
    history.append(np.ones(4))
    assert np.array_equal(history.values()[0], np.ones(4))
    assert not block.any()
