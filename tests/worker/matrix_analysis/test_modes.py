"""Half-lives and periods."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import mode_times


def times(*eigenvalues: complex) -> tuple[np.ndarray, np.ndarray]:
    found = mode_times(np.array(eigenvalues, dtype=np.complex128))
    return found.half_life, found.period


@pytest.mark.parametrize("steps", [0.5, 1.0, 7.0, 1e6])
def test_half_life_is_the_time_to_half(steps: float) -> None:
    half_life, _ = times(0.5 ** (1.0 / steps))
    assert half_life[0] == pytest.approx(steps, rel=1e-9, abs=0.0)


def test_modulus_counts_and_not_the_sign() -> None:
    np.testing.assert_allclose(times(0.5, -0.5, 0.3 + 0.4j, 0.3 - 0.4j)[0], 1.0, rtol=1e-15)


def test_a_mode_that_is_gone_at_once_has_half_life_zero() -> None:
    assert times(0.0)[0][0] == 0.0


@pytest.mark.parametrize("eigenvalue", [1.0, -1.0, 0.6 + 0.8j, 1.5, 1.0 - 1e-15])
def test_a_mode_that_does_not_decay_has_no_half_life(eigenvalue: complex) -> None:
    found = mode_times(np.array([eigenvalue], dtype=np.complex128))
    assert np.isnan(found.half_life[0])
    assert "modulus 1 or more" in str(found.half_life_reason)


@pytest.mark.parametrize("steps", [2.5, 3.0, 8.0, 1000.0])
def test_period_is_the_time_of_one_turn(steps: float) -> None:
    angle = 2.0 * math.pi / steps
    _, period = times(
        0.9 * complex(math.cos(angle), math.sin(angle)), 1.2 * complex(math.cos(angle), -math.sin(angle))
    )
    np.testing.assert_allclose(period, steps, rtol=1e-12)


def test_a_negative_mode_alternates() -> None:
    assert times(-0.3)[1][0] == pytest.approx(2.0, rel=1e-15, abs=0.0)


@pytest.mark.parametrize("eigenvalue", [0.5, 0.0, 3.0])
def test_a_mode_on_the_positive_axis_does_not_turn(eigenvalue: float) -> None:
    found = mode_times(np.array([eigenvalue], dtype=np.complex128))
    assert np.isnan(found.period[0])
    assert "do not turn" in str(found.period_reason)


def test_nothing_missing_needs_no_reason() -> None:
    found = mode_times(np.array([-0.5, 0.3j, -0.3j], dtype=np.complex128))
    assert (found.half_life_reason, found.period_reason) == (None, None)


def test_a_million_modes_are_quick_and_silent() -> None:
    found = mode_times(np.linspace(-1.0, 1.0, 1_000_001) + 0j)
    assert np.isnan(found.half_life).sum() == 2
