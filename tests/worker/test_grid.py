"""The grid of a thinned series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.grid import thinned

LASTS = st.integers(0, 2_000_000)
MOST = st.integers(2, 2000)


@given(LASTS, MOST)
def test_a_grid_holds_both_ends(last: int, most: int) -> None:
    points = thinned(last, most)
    assert points[0] == 0
    assert points[-1] == last


@given(LASTS, MOST)
def test_a_grid_never_has_more_points_than_asked_for(last: int, most: int) -> None:
    assert len(thinned(last, most)) <= most


@given(LASTS, MOST)
def test_a_grid_is_strictly_increasing_integers(last: int, most: int) -> None:
    points = thinned(last, most)
    assert np.issubdtype(points.dtype, np.integer)
    assert (np.diff(points) > 0).all()


@given(st.integers(0, 1999))
def test_a_series_that_fits_is_shown_whole(last: int) -> None:
    assert thinned(last, last + 1).tolist() == list(range(last + 1))


@given(st.integers(20, 2_000_000), st.integers(8, 500))
def test_every_lag_near_zero_is_shown(last: int, most: int) -> None:
    near = min(last, most // 2 - 1)
    assert thinned(last, most)[: near + 1].tolist() == list(range(near + 1))


@pytest.mark.parametrize(("last", "most"), [(1000, 256), (10**6, 256), (10**6, 32)])
def test_a_grid_gets_ever_sparser(last: int, most: int) -> None:
    """Gaps may waver by one, where a geometric sequence is rounded to integers."""
    gaps = np.diff(thinned(last, most))[:-1]
    assert (np.diff(gaps) >= -1).all()
