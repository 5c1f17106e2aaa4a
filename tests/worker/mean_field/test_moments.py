"""Gaussian averages of activations against their integrals in high precision, and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy.special import ndtr

from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.mean_field.correlations import Undecided
from gradhorizon_service.worker.mean_field.moments import moments_of

Function = Callable[[Any], Any]

ACCURACY = 1e-12


def logistic(a: Any) -> Any:
    return 1 / (1 + mp.exp(-a))


def normal(a: Any) -> Any:
    return mp.erfc(-a / mp.sqrt(2)) / 2


# Value, slope, and where the integrals are split.
DEFINITIONS: dict[str, tuple[Function, Function, tuple[float, ...]]] = {
    "tanh": (mp.tanh, lambda a: mp.sech(a) ** 2, (0,)),
    "sigmoid": (logistic, lambda a: logistic(a) * logistic(-a), (0,)),
    "hard_tanh": (lambda a: max(-1, min(1, a)), lambda a: 1 if abs(a) < 1 else 0, (-1, 1)),
    "softplus": (lambda a: mp.log1p(mp.exp(a)), logistic, (0,)),
    "softsign": (lambda a: a / (1 + abs(a)), lambda a: 1 / (1 + abs(a)) ** 2, (0,)),
    "elu": (lambda a: a if a > 0 else mp.expm1(a), lambda a: 1 if a > 0 else mp.exp(a), (0,)),
    "silu": (
        lambda a: a * logistic(a),
        lambda a: logistic(a) * (1 + a * logistic(-a)),
        (0,),
    ),
    "gelu": (lambda a: a * normal(a), lambda a: normal(a) + a * mp.npdf(a), (0,)),
    "relu": (lambda a: max(a, 0), lambda a: 1 if a > 0 else 0, (0,)),
    "sin": (mp.sin, mp.cos, (0,)),
}


def average(f: Function, q: float, breaks: tuple[float, ...]) -> Any:
    """E[f(sqrt(q) z)], split where f bends and at multiples of its width, as far as twelve deviations."""
    with mp.workdps(16):
        far = 12 * mp.sqrt(q)
        near = {mp.mpf(b) + s * mp.mpf(w) for b in breaks for s in (-1, 0, 1) for w in (0.5, 2, 8, 40, 300)}
        points = [-far, *sorted({mp.mpf(b) for b in breaks} | {p for p in near if abs(p) < far}), far]
        points += [s * far / k for s in (-1, 1) for k in (2, 4, 12)]
        return mp.quad(lambda a: f(a) * mp.npdf(a, 0, mp.sqrt(q)), sorted(p for p in points if abs(p) <= far))


@pytest.mark.parametrize(
    ("name", "q"), [*((name, 0.3) for name in DEFINITIONS), ("tanh", 40.0), ("elu", 40.0), ("softsign", 1e6)]
)
def test_averages_are_the_integrals(name: str, q: float) -> None:
    value, slope, breaks = DEFINITIONS[name]
    moments = moments_of(ACTIVATIONS[name]())
    accuracy = (
        1e-9 if name == "softplus" else ACCURACY
    )  # PyTorch's is cut at 20, where e^-20 = 2e-9 is dropped
    square = average(lambda a: value(a) ** 2, q, breaks)
    square_slope = average(lambda a: slope(a) ** 2, q, breaks)
    drift = abs(average(lambda a: a * value(a) * slope(a), q, breaks))
    at = np.array([q])
    assert moments.remainder(q) + moments.tail * q == pytest.approx(float(square), rel=accuracy)
    assert moments.square_slope(at)[0] == pytest.approx(float(square_slope), rel=accuracy)
    assert math.exp(moments.log_length_slope(q)) == pytest.approx(float(drift) / q, rel=accuracy)
    deficit = float(q * square_slope - square)
    assert moments.deficit(at)[0] == pytest.approx(deficit, rel=1e-9, abs=10 * accuracy * q)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "gelu", "sin"])
def test_correlated_averages_of_smooth_activations_are_those_of_gauss_and_hermite(name: str) -> None:
    activation, q, c = ACTIVATIONS[name](), 1.5, 0.4
    x, w = np.polynomial.hermite_e.hermegauss(180)
    weights = np.outer(w, w) / (2 * math.pi)
    a = math.sqrt(q) * np.repeat(x[:, None], len(x), axis=1)
    b = c * a + math.sqrt(q * (1 - c * c)) * x
    loss = np.sum(weights * (np.square(activation.value(a)) - activation.value(a) * activation.value(b)))
    together = np.sum(weights * activation.slope(a) * activation.slope(b))
    moments = moments_of(activation)
    assert moments.correlation_loss(q, 1 - c) == pytest.approx(loss, rel=1e-11)
    assert math.exp(moments.log_correlation_slope(q, 1 - c)) == pytest.approx(together, rel=1e-11)


@pytest.mark.parametrize(
    ("name", "q"), [("hard_tanh", 5.0), ("softsign", 5.0), ("elu", 0.01), ("relu", 1.0), ("tanh", 1e4)]
)
def test_loss_of_correlation_is_the_integral_of_its_slope(name: str, q: float) -> None:
    """Price's theorem: d E[phi(a) phi(b)] / dc = q E[phi'(a) phi'(b)]; from c = 1 to 0.7, in the root of 1 - c."""
    moments, last = moments_of(ACTIVATIONS[name]()), math.sqrt(0.3)
    x, w = np.polynomial.legendre.leggauss(12)
    edges = last * np.array([0.0, *(4.0 ** -np.arange(6.0, -1.0, -1.0))])
    total = 0.0
    for low, high in pairwise(edges.tolist()):
        roots = 0.5 * (low + high) + 0.5 * (high - low) * x
        slopes = [math.exp(moments.log_correlation_slope(q, root * root)) for root in roots.tolist()]
        total += 0.5 * (high - low) * float(np.sum(w * 2 * roots * slopes))
    assert moments.correlation_loss(q, last * last) == pytest.approx(q * total, rel=1e-8)


WIDE = [1e-12, 1e-3, 1.0, 7.0, 1e4, 1e100]
DISTANCES = [1e-9, 1e-3, 0.4, 1.0, 1.7]


@pytest.mark.parametrize("q", WIDE)
def test_erf_has_the_averages_of_williams(q: float) -> None:
    moments, at = moments_of(ACTIVATIONS["erf"]()), np.array([q])
    assert moments.remainder(q) == pytest.approx(2 / math.pi * math.asin(2 * q / (1 + 2 * q)), rel=ACCURACY)
    assert moments.square_slope(at)[0] == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=ACCURACY)
    log_slope = math.log(4 / math.pi) - math.log1p(2 * q) - 0.5 * math.log1p(4 * q)
    assert moments.log_length_slope(q) == pytest.approx(log_slope, rel=ACCURACY, abs=ACCURACY)


@pytest.mark.parametrize("q", WIDE)
@pytest.mark.parametrize("distance", DISTANCES)
def test_correlated_erf_has_the_averages_of_williams(q: float, distance: float) -> None:
    moments = moments_of(ACTIVATIONS["erf"]())
    with mp.workdps(130):
        q_, c = mp.mpf(q), 1 - mp.mpf(distance)
        loss = 2 / mp.pi * (mp.asin(2 * q_ / (1 + 2 * q_)) - mp.asin(2 * q_ * c / (1 + 2 * q_)))
        slope = mp.log(4 / mp.pi / mp.sqrt((1 + 2 * q_) ** 2 - (2 * q_ * c) ** 2))
    assert moments.correlation_loss(q, distance) == pytest.approx(float(loss), rel=1e-10)
    assert moments.log_correlation_slope(q, distance) == pytest.approx(float(slope), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("q", WIDE)
def test_hard_tanh_has_the_averages_of_a_truncated_normal_number(q: float) -> None:
    moments, edge = moments_of(ACTIVATIONS["hard_tanh"]()), 1 / math.sqrt(q)
    with mp.workdps(320):
        inside = mp.erf(mp.mpf(edge) / mp.sqrt(2))
        partial = mp.mpf(q) * (inside - 2 * mp.mpf(edge) * mp.npdf(edge))
    assert moments.square_slope(np.array([q]))[0] == pytest.approx(float(inside), rel=ACCURACY)
    assert moments.remainder(q) == pytest.approx(float(partial) + 2 * ndtr(-edge), rel=ACCURACY)
    assert moments.log_length_slope(q) == pytest.approx(
        float(mp.log(partial)) - math.log(q), rel=ACCURACY, abs=ACCURACY
    )


@pytest.mark.parametrize("q", [1e-12, 1.0, 1e8])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_correlated_relu_has_the_arc_cosine_kernel(q: float, distance: float, slope: float) -> None:
    name, parameters = ("leaky_relu", {"negative_slope": slope}) if slope else ("relu", {})
    moments = moments_of(ACTIVATIONS[name](**parameters))
    with mp.workdps(40):
        slope, c = mp.mpf(slope), 1 - mp.mpf(distance)
        angle = mp.acos(c)
        kernel = (mp.sqrt(1 - c * c) + (mp.pi - angle) * c) / (2 * mp.pi)  # E[relu(a) relu(b)] / q
        both = slope * c + (1 - slope) ** 2 * kernel
        loss = q * ((1 + slope**2) / mp.mpf(2) - both)
        together = slope + (1 - slope) ** 2 * (mp.pi - angle) / (2 * mp.pi)
    assert moments.correlation_loss(q, distance) == pytest.approx(float(loss), rel=1e-10)
    if distance < 1.0 or slope:
        found = math.exp(moments.log_correlation_slope(q, distance))
        assert found == pytest.approx(float(together), rel=1e-10)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "sin", "softsign"])
def test_deficit_of_a_nearly_linear_activation_keeps_its_digits(name: str) -> None:
    """With phi = k (a + c3 a^3 + ...) it is 6 k^2 c3^2 q^3, which q S - V would lose to rounding."""
    q, moments = 1e-6, moments_of(ACTIVATIONS[name]())
    leading = {"tanh": 4 / 3 * q**3, "sigmoid": None, "sin": q**3 / 3, "softsign": q**2}[name]
    if name == "sigmoid":  # sigma(a) = 1/2 + tanh(a / 2) / 2
        leading = 4 / 3 * (q / 4) ** 3 / 4 - 0.25
    assert moments.deficit(np.array([q]))[0] == pytest.approx(leading, rel=2e-2)


def test_sharp_bend_without_limits_is_not_guessed() -> None:
    with pytest.raises(Undecided):
        moments_of(ACTIVATIONS["softsign"]()).correlation_loss(1e20, 0.5)
