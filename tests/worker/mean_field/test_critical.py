"""Critical variances: closed forms, published numbers, and chi_1 = 1 where they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.mean_field import (
    critical_bias_variances,
    critical_weight_variances,
    mean_field,
)

BIASES = [0.0, 1e-24, 1e-6, 0.05, 1.0, 100.0]


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("identity", {}, 1.0),
        ("relu", {}, 2.0),
        ("leaky_relu", {"negative_slope": 0.3}, 2 / 1.09),
    ],
)
def test_piecewise_linear_activations_are_critical_at_one_variance(
    name: str, parameters: dict[str, float], expected: float
) -> None:
    activation = ACTIVATIONS[name](**parameters)
    found = critical_weight_variances(activation, BIASES)
    assert [point.value for point in found] == pytest.approx([expected] * len(BIASES), rel=1e-15)
    assert mean_field(activation, found[0].value or 0.0, 0.0).phase == "critical"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("tanh", 1.0), ("hard_tanh", 1.0), ("softsign", 1.0), ("erf", math.pi / 4), ("sin", 1.0)],
)
def test_odd_saturating_activations_without_bias_are_critical_at_the_slope_of_zero(
    name: str, expected: float
) -> None:
    (found,) = critical_weight_variances(ACTIVATIONS[name](), [0.0])
    assert found.value == pytest.approx(expected, rel=1e-14)
    assert found.others == ()


def test_tanh_at_the_bias_of_the_papers_is_critical_near_1_76() -> None:
    """Schoenholz et al. (2017), section 3: sigma_w^2 = 1.76 at sigma_b^2 = 0.05."""
    (found,) = critical_weight_variances(ACTIVATIONS["tanh"](), [0.05])
    assert found.value == pytest.approx(1.76, abs=0.005)


def test_sigmoid_is_critical_near_103_and_not_at_the_16_of_its_slope() -> None:
    (found,) = critical_weight_variances(ACTIVATIONS["sigmoid"](), [0.0])
    assert found.value == pytest.approx(103.0, abs=0.1)


def test_small_biases_move_the_critical_variance_of_tanh_by_their_cube_root() -> None:
    """B(q) = q - V/S = (4/3) q^3, 1/S = 1 + 2 q: sigma_w^2 = 1 + 2 (3 sigma_b^2 / 4)^(1/3)."""
    for bias_variance in (1e-24, 1e-15):
        (found,) = critical_weight_variances(ACTIVATIONS["tanh"](), [bias_variance])
        assert found.value is not None
        assert found.value - 1 == pytest.approx(2 * (0.75 * bias_variance) ** (1 / 3), rel=1e-4)


def test_erf_is_critical_where_its_closed_forms_say() -> None:
    biases = [1e-3, 1.0, 1e100]
    for bias_variance, found in zip(
        biases, critical_weight_variances(ACTIVATIONS["erf"](), biases), strict=True
    ):
        assert found.value is not None
        q = ((4 * found.value / math.pi) ** 2 - 1) / 4  # chi_1 = 1
        mapped = found.value * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + bias_variance
        assert mapped == pytest.approx(q, rel=1e-11)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"identity", "relu", "leaky_relu"}))
def test_chi_1_is_one_at_every_critical_variance(name: str) -> None:
    activation = ACTIVATIONS[name]()
    for bias_variance, found in zip(BIASES, critical_weight_variances(activation, BIASES), strict=True):
        if found.value is None:
            assert found.reason
        for value in filter(None, (found.value, *found.others)):
            # to first order in the rounding of q*, which next to a transition is the square root of one
            assert mean_field(activation, value, bias_variance).chi_1 == pytest.approx(1.0, abs=1e-9)


def test_several_critical_variances_are_all_named() -> None:
    (found,) = critical_weight_variances(ACTIVATIONS["elu"](), [0.0])
    assert found.value == pytest.approx(1.0)
    assert found.others == pytest.approx((2.0,))  # from where on lengths grow without bound


def test_jump_of_chi_1_over_one_is_no_critical_variance() -> None:
    """Below 2.3 gelu's signals of unit length die out, with chi_1 = sigma_w^2 / 4; above, they grow for ever."""
    gelu = ACTIVATIONS["gelu"]()
    (found,) = critical_weight_variances(gelu, [0.0])
    assert found.value is None
    assert "jump" in str(found.reason)
    grid = np.linspace(2.0, 4.0, 41)
    chi = np.array([mean_field(gelu, variance, 0.0).chi_1 for variance in grid])
    jump = int(np.argmax(np.diff(chi)))
    assert chi[: jump + 1] == pytest.approx(grid[: jump + 1] / 4)
    assert chi[jump + 1 :] == pytest.approx(grid[jump + 1 :] / 2)
    assert chi[jump] < 0.7
    assert chi[jump + 1] > 1.1


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "hard_tanh", "sin"])
def test_lines_over_either_variance_are_the_same_line(name: str) -> None:
    activation, biases = ACTIVATIONS[name](), [0.01, 0.05, 0.3]
    weights = [point.value or 0.0 for point in critical_weight_variances(activation, biases)]
    back = critical_bias_variances(activation, weights)
    assert [point.value for point in back] == pytest.approx(biases, rel=1e-9)


def test_too_small_a_weight_variance_has_no_critical_bias() -> None:
    (found,) = critical_bias_variances(ACTIVATIONS["tanh"](), [0.9])
    assert found.value is None
    assert found.reason
