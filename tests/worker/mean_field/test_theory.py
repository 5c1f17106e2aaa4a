"""Fixed points, rates and phases: closed forms, their own equations in high precision, and wide networks."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.mean_field import LARGEST_VARIANCE, MeanField, mean_field


def theory(name: str, weight_variance: float, bias_variance: float = 0.0, **parameters: float) -> MeanField:
    return mean_field(ACTIVATIONS[name](**parameters), weight_variance, bias_variance)


# -- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negative_slope", [0.0, 0.3, 1.0, -1.0])
def test_piecewise_linear_networks_multiply_lengths_by_chi_1(negative_slope: float) -> None:
    found = theory("leaky_relu", 1.5, 0.2, negative_slope=negative_slope)
    chi = 1.5 * (1 + negative_slope**2) / 2
    assert found.chi_1 == pytest.approx(chi, rel=1e-15)
    if chi < 1:
        assert found.q_star == pytest.approx(0.2 / (1 - chi), rel=1e-14)
        assert found.xi_q == found.xi_c == pytest.approx(-1 / math.log(chi), rel=1e-13)
        assert (found.c_star, found.phase) == (1.0, "ordered")
    else:
        assert found.q_star is None
        assert "without bound" in str(found.q_star_reason)


def test_relu_at_variance_two_is_critical_at_every_length() -> None:
    found = theory("relu", 2.0)
    assert (found.phase, found.chi_1, found.q_star) == ("critical", 1.0, None)
    assert (found.c_star, found.xi_c) == (1.0, None)  # the arc-cosine kernel's slope at 1 is 1
    assert "every length is a fixed point" in str(found.q_star_reason)


def test_linear_network_keeps_every_correlation() -> None:
    found = theory("identity", 0.5)
    assert found.c_star is None
    assert "every correlation" in str(found.c_star_reason)


@pytest.mark.parametrize("variance", [2.0 + 1e-9, 3.0, 1e150])
def test_relu_above_variance_two_diverges(variance: float) -> None:
    found = theory("relu", variance)
    assert (found.phase, found.q_star) == ("chaotic", None)
    assert found.chi_1 == variance / 2


@pytest.mark.parametrize("weight_variance", [1e-12, 0.5, 0.9999])
@pytest.mark.parametrize("name", ["tanh", "softsign", "hard_tanh", "sin", "elu"])
def test_contracting_network_without_biases_goes_silent(name: str, weight_variance: float) -> None:
    found = theory(name, weight_variance)
    assert found.q_star == 0.0
    assert found.chi_1 == weight_variance
    assert found.c_star is None
    assert "length tends to zero" in str(found.c_star_reason)
    assert found.xi_q == pytest.approx(-1 / math.log(weight_variance))


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "sin", "softsign"])
def test_unit_variance_without_biases_is_critical(name: str) -> None:
    found = theory(name, 1.0)
    assert (found.q_star, found.chi_1, found.phase) == (0.0, 1.0, "critical")
    assert found.xi_q is None
    assert "infinite" in str(found.xi_q_reason)


@pytest.mark.parametrize("step", [1e-2, 1e-3])
def test_chi_1_of_tanh_near_onset_grows_with_the_square_of_the_gain(step: float) -> None:
    """ln(chi_1) / 2 = (2/3) (g - 1)^2 to leading order, in discrete time."""
    assert theory("tanh", (1 + step) ** 2).growth_rate == pytest.approx(2 / 3 * step**2, rel=5 * step)


@pytest.mark.parametrize(
    ("weight_variance", "bias_variance"), [(0.3, 0.0), (2.0, 0.05), (1e6, 3.0), (1e150, 1e150)]
)
def test_erf_settles_where_williams_kernel_says(weight_variance: float, bias_variance: float) -> None:
    found = theory("erf", weight_variance, bias_variance)
    q = found.q_star
    assert q is not None
    mapped = weight_variance * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + bias_variance
    assert mapped == pytest.approx(q, rel=1e-12, abs=1e-300)
    assert found.chi_1 == pytest.approx(weight_variance * 4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-12)
    if found.phase == "chaotic":
        c = found.c_star
        assert c is not None
        together = weight_variance * 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q)) + bias_variance
        assert together / q == pytest.approx(c, rel=1e-10)


@pytest.mark.parametrize("weight_variance", [1.5, 30.0, 1e6, 1e100])
def test_sin_settles_where_exponentials_say(weight_variance: float) -> None:
    found = theory("sin", weight_variance, 0.5)
    q, c = found.q_star, found.c_star
    assert q == pytest.approx(weight_variance * (1 - math.exp(-2 * q)) / 2 + 0.5, rel=1e-13)
    assert found.chi_1 == pytest.approx(weight_variance * (1 + math.exp(-2 * q)) / 2, rel=1e-13)
    if found.phase == "chaotic":
        with mp.workdps(40):
            mapped = weight_variance * mp.exp(-q) * mp.sinh(mp.mpf(q) * c) + 0.5
            assert c == pytest.approx(float(mapped / q), rel=1e-10)


# -- equations in high precision -----------------------------------------------------------------------------------


def average(f: Any, q: Any) -> Any:
    width = mp.mpf(1) / mp.sqrt(q)
    points = sorted(
        {s * min(mp.mpf(12), k * width) for s in (-1, 0, 1) for k in (1, 4, 16, 64, 4096)} | {-12, 12}
    )
    return mp.quad(lambda z: f(mp.sqrt(q) * z) * mp.npdf(z), points)


@pytest.mark.parametrize(
    ("weight_variance", "bias_variance"), [(1.5, 0.05), (1.05, 0.0), (1e-12, 1e-6), (1e6, 0.1), (0.5, 1e6)]
)
def test_tanh_solves_its_own_equations(weight_variance: float, bias_variance: float) -> None:
    found = theory("tanh", weight_variance, bias_variance)
    with mp.workdps(20):
        q = mp.findroot(
            lambda q: (weight_variance * average(lambda a: mp.tanh(a) ** 2, q) + bias_variance) / q - 1,
            (mp.mpf(found.q_star) * 0.999, mp.mpf(found.q_star) * 1.001),
            solver="anderson",
            tol=1e-15,
        )
        chi = weight_variance * average(lambda a: mp.sech(a) ** 4, q)
        rate = weight_variance * average(lambda a: a * mp.tanh(a) * mp.sech(a) ** 2, q) / q
        assert found.q_star == pytest.approx(float(q), rel=1e-11)
        assert found.chi_1 == pytest.approx(float(chi), rel=1e-11)
        assert found.xi_q == pytest.approx(float(-1 / mp.log(rate)), rel=1e-10)


def test_correlation_next_to_the_transition_is_told_from_one() -> None:
    """C(c) = c to the second order: 1 - c* = 2 (chi_1 - 1) / C''(1), C'' = weight_variance q E[phi''^2]."""
    critical = 1.760954639606742
    found = theory("tanh", critical * (1 + 1e-6), 0.05)
    q = mp.mpf(found.q_star)
    curvature = critical * q * average(lambda a: (2 * mp.tanh(a) * mp.sech(a) ** 2) ** 2, q)
    assert 1 - found.c_star == pytest.approx(2 * (found.chi_1 - 1) / float(curvature), rel=1e-4)
    assert found.xi_c == pytest.approx(1 / (found.chi_1 - 1), rel=1e-4)  # as far below 1 there as above at 1


def test_chaotic_signals_without_bias_decorrelate() -> None:
    assert theory("tanh", 3.0).c_star == 0.0
    assert theory("softsign", 1e150).c_star == 0.0


def test_self_normalising_network_keeps_unit_lengths_without_mean() -> None:
    """Klambauer et al. (2017) chose the constants of selu for mean 0 and variance 1."""
    found = theory("selu", 1.0)
    assert found.q_star == pytest.approx(1.0, rel=1e-13)
    assert found.c_star == pytest.approx(0.0, abs=1e-12)


# -- extremes --------------------------------------------------------------------------------------------------------

EXTREMES = [1 / LARGEST_VARIANCE, 1e-12, 1.0, 1e6, LARGEST_VARIANCE]


@pytest.mark.parametrize("weight_variance", EXTREMES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_number_is_finite_or_has_a_reason(name: str, weight_variance: float) -> None:
    for bias_variance in (0.0, 1 / LARGEST_VARIANCE, 1.0, LARGEST_VARIANCE):
        check_numbers(theory(name, weight_variance, bias_variance), bias_variance)


def check_numbers(found: MeanField, bias_variance: float) -> None:
    assert math.isfinite(found.chi_1)
    assert found.chi_1 > 0
    for field in ("q_star", "c_star", "xi_q", "xi_c"):
        number, reason = getattr(found, field), getattr(found, f"{field}_reason")
        assert (number is None) == (reason is not None), field
        assert number is None or math.isfinite(number)
    assert found.q_star is None or found.q_star >= bias_variance * (1 - 1e-15)


def test_saturated_step_network_has_the_correlations_of_signs() -> None:
    """At huge variances tanh is the sign: c = (sigma_w^2 (2 / pi) asin(c) + sigma_b^2) / (sigma_w^2 + sigma_b^2)."""
    c = theory("tanh", 1e150, 1e150).c_star
    assert c == pytest.approx((2 / math.pi * math.asin(c) + 1) / 2, rel=1e-12)


def test_resolved_and_limiting_correlations_agree() -> None:
    below, above = theory("hard_tanh", 3e11, 1e11), theory("hard_tanh", 3e14, 1e14)
    assert below.c_star == pytest.approx(above.c_star, rel=1e-5)
    assert below.xi_c == pytest.approx(above.xi_c, rel=1e-5)


# -- wide networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weight_variance", "bias_variance"),
    [("tanh", 2.0, 0.1), ("sigmoid", 20.0, 0.0), ("hard_tanh", 1.5, 0.05), ("gelu", 1.5, 0.5)],
)
def test_wide_network_has_the_length_and_the_gradient_of_the_theory(
    name: str, weight_variance: float, bias_variance: float
) -> None:
    found, phi = theory(name, weight_variance, bias_variance), ACTIVATIONS[name]()
    generator, size, layers = np.random.default_rng(0), 800, 30
    h, v, lengths, gains = generator.standard_normal(size), generator.standard_normal(size), [], []
    for _ in range(layers):
        W = generator.standard_normal((size, size)) * math.sqrt(weight_variance / size)
        a = W @ h + generator.standard_normal(size) * math.sqrt(bias_variance)
        pushed = phi.slope(a) * (W @ v)
        lengths.append(np.mean(a * a))
        gains.append(np.sum(pushed**2) / np.sum(v**2))
        h, v = phi.value(a), pushed
    assert np.mean(lengths[10:]) == pytest.approx(found.q_star, rel=0.05)
    assert np.exp(np.mean(np.log(gains[10:]))) == pytest.approx(found.chi_1, rel=0.05)
