"""Levels a series is watched for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.levels import Levels, Passages, passages_of

NUMBERS = st.integers(-5, 5).map(float)


@given(st.lists(NUMBERS, min_size=1), st.lists(NUMBERS), st.lists(NUMBERS))
def test_every_level_has_its_first_step_whatever_the_order(
    series: list[float], below: list[float], above: list[float]
) -> None:
    def first(beyond: list[bool]) -> int | None:
        return beyond.index(True) if True in beyond else None

    assert passages_of(np.array(series), below, above) == Passages(
        tuple(first([x < level for x in series]) for level in below),
        tuple(first([x > level for x in series]) for level in above),
    )


@given(st.lists(NUMBERS, min_size=2), st.lists(NUMBERS), st.integers(1, 10))
def test_a_series_may_come_in_parts(series: list[float], levels: list[float], part: int) -> None:
    whole, parts = Levels(levels, -1), Levels(levels, -1)
    whole.note(np.array(series), 0)
    for start in range(0, len(series), part):
        parts.note(np.array(series[start : start + part]), start)
    assert parts.steps() == whole.steps()


def test_an_exact_zero_lies_below_every_level() -> None:
    assert passages_of(np.array([0.0, -np.inf]), [-1.0, -1e300], [1.0]) == Passages((1, 1), (None,))
