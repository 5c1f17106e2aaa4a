"""Exact Lyapunov exponents of products of independent Gaussian matrices."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import psi

from .._types import Array


def gaussian_product_exponents(size: int, weight_variance: float, leading: int) -> Array:
    """The `leading` exponents of products of N x N matrices of independent entries of variance v / N, in nats.

    lambda_i = (ln(2 v / N) + psi((N - i + 1) / 2)) / 2 for i = 1..N (Newman 1986, Communications in Mathematical
    Physics 103, page 121). For large N the first tends to ln(v) / 2.
    """
    i = np.arange(1, leading + 1)
    return np.asarray(0.5 * (math.log(2.0 / size) + math.log(weight_variance) + psi(0.5 * (size - i + 1.0))))
