"""The largest norm of all powers up to a depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.ladders import scaled
from gradhorizon_service.worker.products.power_peaks import PeakNorm, peak_norm
from gradhorizon_service.worker.products.spectral_norms import log_spectral_norm, quick_log_spectral_norm


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def log_norms_by_loop(matrix: np.ndarray, depth: int) -> np.ndarray:
    logs, power, shift = np.zeros(depth + 1), np.eye(len(matrix)), 0.0
    for k in range(1, depth + 1):
        power = power @ matrix
        size = np.abs(power).max()
        if size == 0.0:
            logs[k:] = -np.inf
            break
        power, shift = power / size, shift + np.log(size)
        logs[k] = np.log(np.linalg.norm(power, 2)) + shift
    return logs


def test_the_textbook_transient_peaks_at_step_89() -> None:
    """Spectral radius 0.9, and still a norm of 5.36e9."""
    peak = peak_norm(0.9 * np.eye(10) + 1.5 * np.diag(np.ones(9), 1), 10**6)
    assert peak.peak_step == 89
    assert np.exp(peak.log_peak) == pytest.approx(5.36e9, rel=1e-3)
    assert peak.exact


@pytest.mark.parametrize("factor", [0.5, 0.9999, 1.0, 1.0001, 2.0])
def test_normal_matrices_peak_at_an_end(factor: float) -> None:
    peak = peak_norm(factor * np.linalg.qr(gaussian(0, 50, 50))[0], 10**6)
    grows = factor > 1.0
    assert peak.exact
    assert peak.peak_step == (10**6 if grows else 0)
    assert peak.log_peak == pytest.approx(10**6 * np.log(factor) if grows else 0.0, rel=1e-9)


@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 7, 20]),
    st.sampled_from([0.5, 0.95, 1.0, 1.01]),
    st.sampled_from([0, 1, 40, 400]),
    st.sampled_from([0.0, 1.0, 5.0]),
)
def test_peaks_equal_those_of_the_loop(seed: int, size: int, radius: float, depth: int, skew: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.tril(rng.standard_normal((size, size))) + skew * np.triu(rng.standard_normal((size, size)), 1)
    matrix *= radius / max(1e-6, np.abs(np.linalg.eigvals(matrix)).max())
    norms, peak = log_norms_by_loop(matrix, depth), peak_norm(matrix, depth)
    assert peak.exact
    assert peak.log_peak == pytest.approx(norms.max(), abs=1e-7)
    assert norms[peak.peak_step] == pytest.approx(norms.max(), abs=1e-7)


def test_a_slow_jordan_block_peaks_after_70_000_steps() -> None:
    """binom(k, 7) 0.9999^(k-7) is largest near k = 7e4; the norm is the sum over all diagonals."""
    matrix = 0.9999 * np.eye(8) + np.diag(np.ones(7), 1)
    peak = peak_norm(matrix, 10**6)
    assert peak.exact
    assert peak.peak_step == pytest.approx(7e4, rel=1e-3)


def test_a_gaussian_matrix_at_radius_one_peaks_early() -> None:
    matrix = gaussian(1, 96, 96)
    matrix /= np.abs(np.linalg.eigvals(matrix)).max()
    peak, norms = peak_norm(matrix, 10**6), log_norms_by_loop(matrix, 300)
    assert peak.exact
    assert peak.peak_step == np.argmax(norms)
    assert peak.log_peak == pytest.approx(norms.max(), abs=1e-9)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.zeros((3, 3)), PeakNorm(0.0, 0, exact=True)),
        (np.diag(np.ones(3), 1), PeakNorm(0.0, 0, exact=True)),
        (np.array([[1e-200]]), PeakNorm(0.0, 0, exact=True)),
    ],
)
def test_degenerate_matrices_have_peaks(matrix: np.ndarray, expected: PeakNorm) -> None:
    assert peak_norm(matrix, 10**6) == expected


def test_a_nilpotent_matrix_peaks_at_its_own_norm() -> None:
    peak = peak_norm(np.array([[0.0, 8.0], [0.0, 0.0]]), 10**6)
    assert (peak.peak_step, peak.exact) == (1, True)
    assert peak.log_peak == pytest.approx(np.log(8.0), rel=1e-14)


def test_huge_entries_have_a_peak() -> None:
    assert peak_norm(np.array([[1e200]]), 10**6).log_peak == pytest.approx(2e8 * np.log(10), rel=1e-12)


def test_unresolved_transients_are_not_called_exact() -> None:
    assert not peak_norm(0.9999 * np.eye(256) + np.diag(np.ones(255), 1), 10**6).exact


@pytest.mark.parametrize("spread", [1e-12, 1e-3, 1.0])
def test_lanczos_norms_equal_exact_ones(spread: float) -> None:
    values = 1.0 - spread * np.linspace(0.0, 0.9, 120)
    matrix = np.linalg.qr(gaussian(2, 120, 120))[0] * values @ np.linalg.qr(gaussian(3, 120, 120))[0]
    value = scaled(matrix)
    assert quick_log_spectral_norm(value) == pytest.approx(0.0, abs=1e-10)
    assert log_spectral_norm(value) == pytest.approx(0.0, abs=1e-13)
