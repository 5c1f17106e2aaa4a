"""Formats people train in: float16 and float32 as NumPy has them, bfloat16 by rounding float32 to its upper half."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.precision import PRECISIONS

FORMATS = {
    "float16": (11, -24, 65504.0),
    "bfloat16": (8, -133, 3.3895313892515355e38),
    "float32": (24, -149, 2**128 - 2.0**104),
}
"""Bits of the significand, exponent of the smallest subnormal, largest number."""


@pytest.mark.parametrize("name", FORMATS)
def test_the_smallest_subnormal_survives_and_half_of_it_does_not(name: str) -> None:
    smallest = 2.0 ** FORMATS[name][1]
    assert PRECISIONS[name].cast(np.array([smallest, 0.5 * smallest])).tolist() == [smallest, 0.0]


@pytest.mark.parametrize("name", FORMATS)
def test_the_largest_number_survives_and_what_is_beyond_becomes_infinite(name: str) -> None:
    largest = FORMATS[name][2]
    assert PRECISIONS[name].cast(np.array([largest, 1.01 * largest])).tolist() == [largest, np.inf]


@pytest.mark.parametrize("name", FORMATS)
def test_half_a_unit_rounds_to_even(name: str) -> None:
    unit = 2.0 ** (1 - FORMATS[name][0])
    values = np.array([1.0 + 0.5 * unit, 1.0 + 1.5 * unit])
    assert PRECISIONS[name].cast(values).tolist() == [1.0, 1.0 + 2.0 * unit]


@pytest.mark.parametrize("name", PRECISIONS)
@given(value=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_rounding_twice_changes_nothing(name: str, value: float) -> None:
    once = PRECISIONS[name].cast(np.array([value]))
    assert np.array_equal(PRECISIONS[name].cast(once.astype(np.float64)), once)


@given(st.floats(-(2.0**127), 2.0**127, width=32))
def test_bfloat16_is_within_half_a_unit(value: float) -> None:
    rounded = float(PRECISIONS["bfloat16"].cast(np.array([value]))[0])
    assert abs(rounded - value) <= max(2.0**-8 * abs(value), 2.0**-134) * (1 + 1e-12)


def test_bfloat16_keeps_what_is_not_a_number() -> None:
    values = PRECISIONS["bfloat16"].cast(np.array([np.inf, -np.inf, np.nan]))
    assert values[:2].tolist() == [np.inf, -np.inf]
    assert np.isnan(values[2])


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_scale_is_applied_before_rounding(name: str) -> None:
    scaled = PRECISIONS[name].scaled(np.array([0.5, -0.25]), 3.0 * float(np.log(2.0)))
    assert scaled.tolist() == pytest.approx([4.0, -2.0], rel=1e-2)


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize(("log_scale", "becomes"), [(1e5, np.inf), (-1e5, 0.0)])
def test_a_scale_beyond_every_float_overflows_or_underflows(
    name: str, log_scale: float, becomes: float
) -> None:
    assert PRECISIONS[name].scaled(np.array([0.5]), log_scale).tolist() == [becomes]


def test_a_scale_brings_back_what_was_never_a_float64() -> None:
    """exp(800) is no float64, but exp(800) times exp(-790) is."""
    array = np.array([np.exp(-700.0)])
    assert PRECISIONS["float64"].scaled(array, 1400.0)[0] == pytest.approx(np.exp(700.0), rel=1e-12)


def test_a_zero_stays_zero_at_any_scale() -> None:
    assert PRECISIONS["float32"].scaled(np.array([0.0]), 1e5).tolist() == [0.0]


EXACT: Mapping[str, tuple[Fraction, Fraction, Fraction]] = {
    name: (
        Fraction(2) ** lowest - Fraction(2) ** (lowest - digits),
        Fraction(2) ** (lowest - digits),
        Fraction(2) ** (2 - lowest) - Fraction(2) ** (1 - lowest - digits),
    )
    for name, digits, lowest in (
        ("float16", 11, -14),
        ("bfloat16", 8, -126),
        ("float32", 24, -126),
        ("float64", 53, -1022),
    )
}
"""Half a unit below the smallest normal number, half the smallest subnormal one, half a unit beyond the largest."""


@pytest.mark.parametrize("name", PRECISIONS)
def test_levels_are_where_rounding_changes_its_mind(name: str) -> None:
    subnormal, zero, infinite = EXACT[name]
    found = PRECISIONS[name]
    with mpmath.workdps(40):
        for log_level, exact in (
            (found.log_subnormal, subnormal),
            (found.log_zero, zero),
            (found.log_infinite, infinite),
        ):
            expected = mpmath.log(mpmath.mpf(exact.numerator)) - mpmath.log(mpmath.mpf(exact.denominator))
            assert log_level == pytest.approx(float(expected), rel=1e-15)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_numbers_next_to_a_level_are_cast_to_either_side(name: str) -> None:
    """Ties go to zero, to the normal number and to infinity. The carrier of bfloat16 tells 2^-15 there apart."""
    cast = PRECISIONS[name].cast
    subnormal, zero, infinite = (float(level) for level in EXACT[name])
    nearly = 1.0 - 2.0**-12
    smallest_normal = 2.0 ** PRECISIONS[name].lowest
    assert cast(np.array([zero, zero / nearly])).tolist() == [0.0, 2.0 * zero]
    assert cast(np.array([subnormal]))[0] == smallest_normal
    assert cast(np.array([subnormal - zero / 2]))[0] < smallest_normal
    assert cast(np.array([infinite]))[0] == np.inf
    assert np.isfinite(cast(np.array([infinite * nearly]))[0])
