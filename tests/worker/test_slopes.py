"""Slopes along a trajectory, from the value where that is as exact as from the pre-activation."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.slopes import slopes_along


@pytest.mark.parametrize("spread", [0.1, 0.8, 3.0, 30.0])
def test_slopes_of_tanh_are_exact_on_both_sides_of_saturation(spread: float) -> None:
    a = spread * np.random.default_rng(0).standard_normal((20, 3, 10))
    with mp.workdps(30):
        expected = [float(mp.sech(mp.mpf(x)) ** 2) for x in a.ravel()]
    assert slopes_along(ACTIVATIONS["tanh"](), a.copy(), np.tanh(a)).ravel() == pytest.approx(
        expected, rel=1e-15
    )


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_slopes_are_those_of_the_activation(name: str) -> None:
    activation = ACTIVATIONS[name]()
    a = 2.0 * np.random.default_rng(0).standard_normal((50, 100, 7))  # several blocks
    found = slopes_along(activation, a.copy(), activation.value(a))
    np.testing.assert_allclose(found, activation.slope(a), rtol=2e-15)


def test_no_steps_have_no_slopes() -> None:
    assert slopes_along(ACTIVATIONS["tanh"](), np.zeros((0, 2, 3)), np.zeros((0, 2, 3))).shape == (0, 2, 3)
