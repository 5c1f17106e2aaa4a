"""Exponents of products of Gaussian matrices: closed forms, sums, and a product."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon_service.worker.mean_field import gaussian_product_exponents

EULER = 0.57721566490153286


def test_scalar_product_grows_by_the_mean_logarithm_of_a_normal_number() -> None:
    """E ln|z| = -(gamma + ln 2) / 2."""
    assert gaussian_product_exponents(1, 1.0, 1)[0] == pytest.approx(-(EULER + math.log(2)) / 2, rel=1e-14)


def test_sum_of_exponents_is_the_mean_log_determinant() -> None:
    """ln|det|^2 of a Gaussian matrix is a sum of ln chi^2_k, k = 1..N (Bartlett)."""
    size = 7
    generator = np.random.default_rng(0)
    draws = [
        np.linalg.slogdet(generator.standard_normal((size, size)) * math.sqrt(1.3 / size))[1]
        for _ in range(4000)
    ]
    total = float(np.sum(gaussian_product_exponents(size, 1.3, size)))
    assert total == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / math.sqrt(len(draws)))


def test_first_exponent_of_a_wide_product_is_half_the_log_of_the_variance() -> None:
    assert gaussian_product_exponents(100_000, 3.0, 1)[0] == pytest.approx(0.5 * math.log(3.0), abs=1e-5)


def test_leading_exponents_are_the_first_of_all() -> None:
    assert (
        gaussian_product_exponents(9, 2.0, 3).tolist() == gaussian_product_exponents(9, 2.0, 9)[:3].tolist()
    )


def test_variance_shifts_every_exponent_by_half_its_logarithm() -> None:
    shift = gaussian_product_exponents(5, 1e100, 5) - gaussian_product_exponents(5, 1.0, 5)
    assert shift == pytest.approx(0.5 * math.log(1e100))
