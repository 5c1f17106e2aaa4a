"""Progress lost, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.descents.progress import LARGEST, progress_lost, rises
from gradhorizon_service.worker.descents.summary import quantile_of_numbers


def lost(*loss: float, after: tuple[float, ...] | None = None) -> list[float]:
    column = np.array(loss)[:, None]
    return progress_lost(column, column if after is None else np.array(after)[:, None])[:, 0].tolist()


def test_a_descent_loses_nothing() -> None:
    assert lost(4.0, 3.0, 2.0, 2.0) == [0.0, 0.0, 0.0, 0.0]


def test_half_of_the_progress_is_a_half() -> None:
    assert lost(4.0, 2.0, 3.0) == [0.0, 0.0, 0.5]


def test_what_was_lost_before_counts_no_second_time() -> None:
    """The third step starts from 3, and the best so far was 2."""
    assert lost(4.0, 2.0, 3.0, 3.5) == [0.0, 0.0, 0.5, 0.25]


def test_back_at_the_start_is_one_and_worse_is_more() -> None:
    assert lost(4.0, 2.0, 4.0) == [0.0, 0.0, 1.0]
    assert lost(4.0, 2.0, 8.0) == [0.0, 0.0, 3.0]


def test_a_loss_that_is_no_longer_finite_has_lost_all() -> None:
    for end in (np.inf, np.nan, 1e300):
        assert lost(4.0, 2.0, end) == [0.0, 0.0, LARGEST]


def test_without_progress_there_is_nothing_to_lose() -> None:
    assert np.isnan(lost(4.0, 5.0)[1])
    assert np.isnan(lost(4.0, 3.9999, 4.5)[2])  # rounding at the start is no progress


def test_a_step_is_judged_on_the_sequences_it_saw() -> None:
    assert lost(4.0, 2.0, 9.0, after=(4.0, 2.0, 1.5)) == [0.0, 0.0, 0.0]


def test_rises_are_told_where_no_progress_can_be_lost() -> None:
    column = np.array([[4.0], [5.0], [np.inf]])
    assert rises(column, column)[:, 0].tolist() == [0.0, 1.0, np.inf]


@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_are_numpys_over_what_is_finite(q: float) -> None:
    rows = np.random.default_rng(0).standard_normal((6, 9))
    rows[1, :4], rows[2, 1:], rows[3] = np.nan, np.nan, np.nan
    found = quantile_of_numbers(rows, q)
    assert np.isnan(found[3])
    for k in (0, 1, 2, 4, 5):
        assert found[k] == pytest.approx(np.nanquantile(rows[k], q), rel=1e-15)


def test_minus_infinity_is_the_lowest() -> None:
    rows = np.array([[-np.inf, 1.0, 3.0], [-np.inf, -np.inf, 2.0]])
    assert quantile_of_numbers(rows, 0.5).tolist() == [1.0, -np.inf]
    assert quantile_of_numbers(rows, 1.0).tolist() == [3.0, 2.0]
