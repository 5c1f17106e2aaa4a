"""Activations against their definitions in fifty digits, from the kink to the deepest saturation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.activations import ACTIVATIONS

DIGITS = 50
NAMES = sorted(ACTIVATIONS)

MODERATE = np.linspace(-40.0, 40.0, 161) + 0.01
SATURATED = np.linspace(-700.0, 700.0, 71)
CLOSE = np.linspace(-3.0, 3.0, 61)
GRID = np.concatenate([MODERATE, SATURATED, CLOSE])
BEYOND = np.array([-1e5, -2e3, -800.0, 800.0, 2e3, 1e5])


@dataclass(frozen=True)
class Definition:
    """Value and slope as the literature writes them, and whether phi(c a) = c phi(a) for c > 0."""

    value: Callable[[mp.mpf], mp.mpf]
    slope: Callable[[mp.mpf], mp.mpf]
    homogeneous: bool = False


def logistic(a: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-a))


def normal(a: mp.mpf) -> mp.mpf:
    return mp.erfc(-a / mp.sqrt(2)) / 2


SCALE = mp.mpf("1.0507009873554804934193349852946")
ALPHA = mp.mpf("1.6732632423543772848170429916717")

DEFINITIONS = {
    "identity": Definition(lambda a: a, lambda a: mp.mpf(1), homogeneous=True),
    "tanh": Definition(mp.tanh, lambda a: mp.sech(a) ** 2),
    "sigmoid": Definition(logistic, lambda a: logistic(a) * logistic(-a)),
    "relu": Definition(lambda a: max(a, mp.mpf(0)), lambda a: mp.mpf(a > 0), homogeneous=True),
    "leaky_relu": Definition(
        lambda a: a if a > 0 else mp.mpf(0.01) * a,
        lambda a: mp.mpf(1) if a > 0 else mp.mpf(0.01),
        homogeneous=True,
    ),
    "hard_tanh": Definition(lambda a: min(max(a, mp.mpf(-1)), mp.mpf(1)), lambda a: mp.mpf(abs(a) < 1)),
    "softplus": Definition(
        lambda a: a if a > 20 else mp.log1p(mp.exp(a)), lambda a: mp.mpf(1) if a > 20 else logistic(a)
    ),
    "softsign": Definition(lambda a: a / (1 + abs(a)), lambda a: 1 / (1 + abs(a)) ** 2),
    "elu": Definition(lambda a: a if a > 0 else mp.expm1(a), lambda a: mp.mpf(1) if a > 0 else mp.exp(a)),
    "selu": Definition(
        lambda a: SCALE * (a if a > 0 else ALPHA * mp.expm1(a)),
        lambda a: SCALE * (mp.mpf(1) if a > 0 else ALPHA * mp.exp(a)),
    ),
    "silu": Definition(lambda a: a * logistic(a), lambda a: logistic(a) * (1 + a * logistic(-a))),
    "gelu": Definition(lambda a: a * normal(a), lambda a: normal(a) + a * mp.npdf(a)),
    "erf": Definition(mp.erf, lambda a: 2 / mp.sqrt(mp.pi) * mp.exp(-(a**2))),
    "sin": Definition(mp.sin, mp.cos),
}


def exact(function: Callable[[mp.mpf], mp.mpf], points: np.ndarray) -> list[mp.mpf]:
    with mp.workdps(DIGITS):
        return [function(mp.mpf(float(a))) for a in points]


def largest_error(computed: np.ndarray, expected: list[mp.mpf], units: np.ndarray) -> float:
    """The largest error relative to the value, or to its unit where that is larger."""
    with mp.workdps(DIGITS):
        return max(
            float(abs(mp.mpf(float(x)) - y) / max(abs(y), mp.mpf(float(unit))))
            for x, y, unit in zip(computed, expected, units, strict=True)
        )


def test_every_activation_has_a_definition_here() -> None:
    assert set(DEFINITIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_value_is_the_definition(name: str) -> None:
    units = np.full(len(GRID), 1e-300)
    assert largest_error(ACTIVATIONS[name]().value(GRID), exact(DEFINITIONS[name].value, GRID), units) < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_slope_keeps_relative_accuracy_in_saturation(name: str) -> None:
    """Also next to the zeros at -1.28 of silu and -0.75 of gelu, though there only relative to the neighbourhood."""
    units = np.where((np.abs(GRID) < 2.0) & (name in ("silu", "gelu")), 1e-2, 1e-307)
    assert largest_error(ACTIVATIONS[name]().slope(GRID), exact(DEFINITIONS[name].slope, GRID), units) < 5e-15


@pytest.mark.parametrize("name", NAMES)
def test_log_slope_goes_on_where_the_slope_underflows(name: str) -> None:
    points = np.concatenate([GRID, BEYOND])
    computed = ACTIVATIONS[name]().log_slope(points)
    with mp.workdps(DIGITS):
        for a, log_slope, slope in zip(points, computed, exact(DEFINITIONS[name].slope, points), strict=True):
            expected = mp.log(abs(slope)) if slope != 0 else mp.ninf
            assert float(log_slope) == pytest.approx(float(expected), rel=1e-14, abs=1e-13), a


@pytest.mark.parametrize("name", NAMES)
def test_slope_is_the_derivative_of_the_value(name: str) -> None:
    points, step = np.linspace(-2.9, 2.9, 30), 1e-6
    activation = ACTIVATIONS[name]()
    differences = (activation.value(points + step) - activation.value(points - step)) / (2.0 * step)
    np.testing.assert_allclose(activation.slope(points), differences, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_bend_is_the_derivative_of_the_slope(name: str) -> None:
    points, step = np.linspace(-2.9, 2.9, 30), 1e-6
    activation = ACTIVATIONS[name]()
    differences = (activation.slope(points + step) - activation.slope(points - step)) / (2.0 * step)
    np.testing.assert_allclose(activation.bend(points), differences, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_bend_is_finite_however_large_the_preactivation(name: str) -> None:
    bend = ACTIVATIONS[name]().bend(np.array([-1e300, -800.0, -40.0, 40.0, 800.0, 1e300]))
    assert np.isfinite(bend).all()


@pytest.mark.parametrize("name", NAMES)
def test_largest_slope_is_the_supremum(name: str) -> None:
    activation = ACTIVATIONS[name]()
    slopes = np.abs(activation.slope(np.concatenate([np.linspace(-30.0, 30.0, 60001), np.zeros(1)])))
    assert slopes.max() <= activation.largest_slope * (1.0 + 1e-15)
    assert slopes.max() >= activation.largest_slope * (1.0 - 1e-7)


def test_largest_slope_of_silu_solves_x_tanh_x_is_one() -> None:
    with mp.workdps(30):
        x = mp.findroot(lambda x: x * mp.tanh(x) - 1, 1.2)
        expected = logistic(2 * x) * (1 + 2 * x * logistic(-2 * x))
    assert ACTIVATIONS["silu"]().largest_slope == pytest.approx(float(expected), rel=1e-15, abs=0.0)


def test_largest_slope_of_gelu_is_at_the_root_of_two() -> None:
    with mp.workdps(30):
        expected = DEFINITIONS["gelu"].slope(mp.sqrt(2))
    assert ACTIVATIONS["gelu"]().largest_slope == pytest.approx(float(expected), rel=1e-15, abs=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_homogeneous_activations_let_a_scale_through(name: str) -> None:
    activation = ACTIVATIONS[name]()
    passes = np.allclose(activation.value(4.0 * CLOSE), 4.0 * activation.value(CLOSE), rtol=1e-14)
    assert passes == activation.homogeneous == DEFINITIONS[name].homogeneous


@pytest.mark.parametrize("name", NAMES)
def test_huge_inputs_overflow_nowhere(name: str) -> None:
    """Warnings are errors here, so an overflow inside would fail the test."""
    huge = np.array([1e300, -1e300, 1e150, -1e150, 5e-324, -5e-324, 0.0, -0.0])
    activation = ACTIVATIONS[name]()
    assert np.isfinite(activation.value(huge)).all()
    assert np.isfinite(activation.slope(huge)).all()
    assert not np.isnan(activation.log_slope(huge)).any()


def test_tanh_has_a_slope_where_one_minus_its_square_has_none() -> None:
    slope = ACTIVATIONS["tanh"]().slope(np.array([19.1]))
    assert slope == pytest.approx(4.0 * math.exp(-38.2), rel=1e-14, abs=0.0)
    assert 1.0 - np.tanh(19.1) ** 2 == 0.0


@pytest.mark.parametrize(
    ("name", "at", "slope"),
    [
        ("relu", 0.0, 0.0),
        ("hard_tanh", 1.0, 0.0),
        ("hard_tanh", -1.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, float(SCALE * ALPHA)),
        ("softsign", 0.0, 1.0),
    ],
)
def test_slope_at_a_kink_is_the_one_autograd_takes(name: str, at: float, slope: float) -> None:
    assert ACTIVATIONS[name]().slope(np.array([at]))[0] == slope


@pytest.mark.parametrize(
    ("name", "parameters", "at", "value", "slope", "largest"),
    [
        ("leaky_relu", {"negative_slope": 0.2}, -3.0, -0.6, 0.2, 1.0),
        ("leaky_relu", {"negative_slope": -2.0}, -3.0, 6.0, -2.0, 2.0),
        ("elu", {"alpha": 3.0}, -1.0, 3.0 * math.expm1(-1.0), 3.0 * math.exp(-1.0), 3.0),
        ("softplus", {"beta": 3.0}, 0.0, math.log(2.0) / 3.0, 0.5, 1.0),
    ],
)
def test_parameters_do_what_their_names_say(
    name: str, parameters: dict[str, float], at: float, value: float, slope: float, largest: float
) -> None:
    activation = ACTIVATIONS[name](**parameters)
    assert activation.value(np.array([at]))[0] == pytest.approx(value, rel=1e-15, abs=0.0)
    assert activation.slope(np.array([at]))[0] == pytest.approx(slope, rel=1e-15, abs=0.0)
    assert activation.log_slope(np.array([at]))[0] == pytest.approx(math.log(abs(slope)), rel=1e-14, abs=0.0)
    assert activation.largest_slope == largest


@pytest.mark.parametrize("name", NAMES)
def test_results_are_fresh_arrays_of_the_same_shape(name: str) -> None:
    a = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    activation = ACTIVATIONS[name]()
    for result in (activation.value(a), activation.slope(a), activation.log_slope(a)):
        assert result.shape == a.shape
        assert result.dtype == np.float64
        assert not np.shares_memory(result, a)
