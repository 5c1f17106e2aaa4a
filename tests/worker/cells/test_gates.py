"""Gates: value, rest and slope from one exponential, exact however saturated."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from gradhorizon_service.worker.activations import ACTIVATIONS, Sigmoid, Tanh
from gradhorizon_service.worker.cells._gates import evaluated

GRID = np.concatenate(
    [
        np.linspace(-700.0, 340.0, 53),
        np.linspace(-40.0, 40.0, 81),
        np.linspace(-0.1, 0.1, 41),
        [1e-300, -1e-20],
    ]
)[:, None]


def precise(a: float, name: str) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    t = mpmath.exp(-mpmath.mpf(a))
    if name == "sigmoid":
        return 1 / (1 + t), t / (1 + t), t / (1 + t) ** 2
    value = mpmath.tanh(mpmath.mpf(a))
    return value, 1 - value, 1 - value**2


@pytest.mark.parametrize(("name", "activation"), [("sigmoid", Sigmoid()), ("tanh", Tanh())])
def test_values_and_slopes_are_those_of_extended_precision(name: str, activation: Sigmoid | Tanh) -> None:
    found = evaluated(activation, GRID)
    with mpmath.workdps(700):
        expected = np.array([[float(x) for x in precise(a, name)] for a in GRID[:, 0].tolist()])
    assert found.value[:, 0] == pytest.approx(expected[:, 0], rel=5e-15, abs=0.0)
    assert found.slope[:, 0] == pytest.approx(expected[:, 2], rel=2e-13, abs=1e-320)


def test_what_a_gate_leaves_is_exact_where_it_is_next_to_open() -> None:
    found = evaluated(Sigmoid(), GRID)
    with mpmath.workdps(700):
        expected = [float(precise(a, "sigmoid")[1]) for a in GRID[:, 0].tolist()]
    assert found.rest[:, 0] == pytest.approx(expected, rel=1e-15, abs=0.0)


def test_a_gate_below_float64_is_closed() -> None:
    found = evaluated(Sigmoid(), np.array([[-1e4, -1e300, -750.0, 1.0]]))
    assert np.array_equal(found.value[0, :3], np.zeros(3))
    assert np.array_equal(found.slope[0, :3], np.zeros(3))
    assert np.array_equal(found.rest[0, :3], np.ones(3))
    assert found.value[0, 3] == pytest.approx(1.0 / (1.0 + np.exp(-1.0)), rel=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_a_gate(name: str) -> None:
    activation = ACTIVATIONS[name]()
    a = np.linspace(-3.0, 3.0, 14).reshape(2, 7)
    found = evaluated(activation, a)
    assert found.value == pytest.approx(activation.value(a), rel=1e-14)
    assert found.slope == pytest.approx(activation.slope(a), rel=1e-14)
    assert found.rest == pytest.approx(1.0 - activation.value(a), rel=1e-13, abs=1e-15)
    assert np.array_equal(found[slice(2, 5)].slope, found.slope[:, 2:5])
