"""The largest norm of the transport over the lags, and what a plain product says about singular values."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from gradhorizon_service.worker.products.factors import DenseFactors, Repeated, RowScaled
from gradhorizon_service.worker.products.transport_norms import transport_peak


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def by_products(tensor: np.ndarray) -> np.ndarray:
    """ln norm2(J_T .. J_{T-k+1}) for k = 0 .. T."""
    product, logs = np.eye(tensor.shape[-1]), [0.0]
    for jacobian in tensor[::-1]:
        product = product @ jacobian
        logs.append(float(np.log(np.linalg.norm(product, 2))))
    return np.array(logs)


def exact_log_singular_values(tensor: np.ndarray) -> np.ndarray:
    with mpmath.workdps(250):
        product = mpmath.eye(tensor.shape[-1])
        for jacobian in tensor:
            product = mpmath.matrix(jacobian.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        return np.sort([float(mpmath.log(value)) for value in values])[::-1]


CHAINS = {
    "gaussian": lambda: gaussian(0, 60, 6, 6) / 6**0.5,
    "growing": lambda: gaussian(1, 60, 6, 6),
    "orthogonal": lambda: np.linalg.qr(gaussian(2, 60, 6, 6))[0],
    "saturated": lambda: np.random.default_rng(3).random((60, 6, 1)) ** 4 * gaussian(4, 6, 6),
    "transient": lambda: np.tile(0.9 * np.eye(6) + 1.5 * np.diag(np.ones(5), 1), (60, 1, 1)),
    "triangular": lambda: np.triu(gaussian(5, 60, 6, 6)),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_the_peak_is_the_largest_of_all_lags(chain: str) -> None:
    tensor = CHAINS[chain]()
    found, norms = transport_peak(DenseFactors(tensor)), by_products(tensor)
    assert found.log_peak[0] == pytest.approx(norms.max(), abs=1e-9)
    assert norms[found.peak_lag[0]] == pytest.approx(norms.max(), abs=1e-9)
    assert found.log_norm[0] == pytest.approx(norms[-1], abs=1e-9)


@pytest.mark.parametrize("chain", CHAINS)
def test_singular_values_are_as_good_as_the_floor_says(chain: str) -> None:
    tensor = CHAINS[chain]()
    found, exact = transport_peak(DenseFactors(tensor)), exact_log_singular_values(tensor)
    error = np.abs(found.log_singular_values[0] - exact)
    allowed = np.exp(np.minimum(found.log_floor[0] - exact, 50.0))
    assert np.all(error[allowed < 0.1] <= allowed[allowed < 0.1])
    assert allowed[0] < 1e-4


def test_the_peak_of_powers_equals_that_of_their_factors() -> None:
    matrix = gaussian(6, 7, 7) / 3.0
    one, other = (
        transport_peak(Repeated(matrix, 80)),
        transport_peak(DenseFactors(np.tile(matrix, (80, 1, 1)))),
    )
    assert one.log_peak == pytest.approx(other.log_peak, abs=1e-9)
    assert one.peak_lag == other.peak_lag
    assert one.log_norm == pytest.approx(other.log_norm, abs=1e-9)


def test_powers_of_a_rotated_jordan_block_do_not_pretend_to_be_resolved() -> None:
    """Reduced to Schur form its eigenvalues scatter: the floor knows."""
    frame = np.linalg.qr(gaussian(7, 8, 8))[0]
    matrix = frame @ (0.9 * np.eye(8) + 1.5 * np.diag(np.ones(7), 1)) @ frame.T
    found, exact = (
        transport_peak(Repeated(matrix, 100)),
        exact_log_singular_values(np.tile(matrix, (100, 1, 1))),
    )
    error = np.abs(found.log_singular_values[0] - exact)
    allowed = np.exp(np.minimum(found.log_floor[0] - exact, 50.0))
    assert np.all(error[allowed < 0.1] <= allowed[allowed < 0.1])
    assert allowed[-1] > 1.0


def test_orthogonal_powers_at_a_million_are_resolved() -> None:
    found = transport_peak(Repeated(np.linalg.qr(gaussian(8, 30, 30))[0], 10**6))
    assert (found.log_peak[0], found.peak_lag[0]) == (0.0, 0)
    assert found.log_singular_values == pytest.approx(np.zeros((1, 30)), abs=1e-8)
    assert found.log_floor[0] < np.log(1e-6)


def test_sequences_have_peaks_of_their_own() -> None:
    slopes = np.ones((50, 2, 5))
    slopes[:, 1] = 0.5
    frame = 1.1 * np.linalg.qr(gaussian(9, 5, 5))[0]
    found = transport_peak(RowScaled(frame, slopes))
    assert found.log_peak == pytest.approx([50 * np.log(1.1), 0.0], abs=1e-9)
    assert list(found.peak_lag) == [50, 0]
    assert found.log_norm == pytest.approx(50 * np.log([1.1, 0.55]), abs=1e-9)


def test_large_matrices_use_lanczos_and_agree() -> None:
    tensor = gaussian(10, 12, 100, 100) / 9.0
    found, norms = transport_peak(DenseFactors(tensor)), by_products(tensor)
    assert found.log_peak[0] == pytest.approx(norms.max(), abs=1e-10)
    assert found.peak_lag[0] == np.argmax(norms)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200])
def test_extreme_entries_stay_in_range(scale: float) -> None:
    found = transport_peak(DenseFactors(np.tile(scale * np.eye(3), (40, 1, 1))))
    assert found.log_norm == pytest.approx([40 * np.log(scale)], rel=1e-13)
    assert found.peak_lag[0] == (40 if scale > 1 else 0)
    assert found.log_floor[0] < found.log_norm[0] - 25


def test_a_dead_chain_is_exactly_zero() -> None:
    tensor = np.tile(np.eye(2), (5, 1, 1))
    tensor[2] = 0.0
    found = transport_peak(DenseFactors(tensor))
    assert found.log_norm[0] == -np.inf
    assert np.all(found.log_singular_values == -np.inf)
    assert (found.log_peak[0], found.peak_lag[0]) == (0.0, 0)


def test_no_steps_transport_nothing_anywhere() -> None:
    for factors in (DenseFactors(np.zeros((0, 3, 3))), Repeated(np.ones((3, 3)), 0)):
        found = transport_peak(factors)
        assert found.log_norm == pytest.approx([0.0], abs=1e-15)
        assert found.log_floor[0] == -np.inf
