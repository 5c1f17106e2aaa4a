"""Powers that rise before they fall."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, Array, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.nonnormality import Nonnormality, nonnormality

NONNORMAL = 0.9 * np.eye(10) + 1.5 * np.diag(np.ones(9), 1)


def of(weights: Array | BlockDiagonal, depth: int) -> Nonnormality:
    return nonnormality(runs.start(linear(weights, depth)))


def test_a_radius_of_nine_tenths_may_hide_nine_decades() -> None:
    """norm(W^89) = 5.36e9, from an extended-precision product; cond(V) is 3e143."""
    found = of(NONNORMAL, 1000)
    assert (found.log10_peak, found.peak_step) == (pytest.approx(np.log10(5.3608e9), abs=1e-3), 89)
    assert found.peak_is_exact
    assert found.eigenvalues_mislead
    assert found.log10_eigenvector_condition is None or found.log10_eigenvector_condition > 100
    assert "k = 89" in found.says


def test_a_shorter_depth_ends_on_the_way_up() -> None:
    found = of(NONNORMAL, 20)
    expected = np.log10(np.linalg.norm(np.linalg.matrix_power(NONNORMAL, 20), 2))
    assert (found.log10_peak, found.peak_step) == (pytest.approx(expected), 20)


def test_one_step_of_a_nilpotent_matrix() -> None:
    found = of(np.array([[0.0, 50.0], [0.0, 0.0]]), 10)
    assert (found.log10_peak, found.peak_step) == (pytest.approx(np.log10(50.0)), 1)
    assert found.henrici_departure > 0
    assert found.eigenvalues_mislead


@pytest.mark.parametrize("depth", [5, 10**6])
def test_eigenvalues_of_a_symmetric_matrix_tell_everything(depth: int) -> None:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    symmetric = Q @ np.diag([1.05, 0.5, -0.7]) @ Q.T
    found = of(0.5 * (symmetric + symmetric.T), depth)
    assert not found.eigenvalues_mislead
    assert found.log10_eigenvector_condition == pytest.approx(0.0, abs=1e-6)
    assert found.henrici_departure == pytest.approx(0.0, abs=1e-6)
    assert (found.log10_peak, found.peak_step) == (pytest.approx(depth * np.log10(1.05)), depth)
    assert found.kreiss_constant is None
    assert found.kreiss_constant_reason is not None


def test_a_contraction_never_rises() -> None:
    found = of(0.5 * np.eye(3), 100)
    assert (found.log10_peak, found.peak_step) == (0.0, 0)
    assert found.kreiss_constant == pytest.approx(1.0)


@pytest.mark.parametrize("radius", [0.0, 0.5, 1.0, 1.2])
def test_a_spectrum_says_what_its_matrix_says(radius: float) -> None:
    blocks = BlockDiagonal(radius * np.array([1.0 + 0j, 0.3 + 0.4j]))
    found, dense = of(blocks, 50), of(blocks.times(np.eye(blocks.size)).T, 50)
    assert found.log10_peak == pytest.approx(dense.log10_peak, abs=1e-12)
    assert found.peak_step == dense.peak_step
    assert found.eigenvalues_mislead == dense.eigenvalues_mislead
    assert (found.kreiss_constant is None) == (dense.kreiss_constant is None)
    assert (found.kreiss_constant_reason is None) == (found.kreiss_constant is not None)


def test_a_linear_leaky_step_is_what_its_powers_are_of() -> None:
    """W = 0.8 I + 3 E at a = 1/2 makes (1 - a) I + a W the matrix of the first test."""
    weights = 2.0 * NONNORMAL - np.eye(10)
    network = CellCase("leaky", {"weights": weights, "leak_rate": 0.5, "activation": "identity"}).network()
    found = nonnormality(runs.start(problem(network, 1000)))
    assert (found.about, found.peak_step) == ("step_jacobian", 89)
    assert found.log10_peak == pytest.approx(np.log10(5.3608e9), abs=1e-3)
    assert "J^k" in found.says


@pytest.mark.parametrize("name", ["leaky tanh", "skip tanh", "rnn identity", "linear", "linear diagonal"])
def test_elsewhere_it_is_about_the_recurrent_matrix(name: str) -> None:
    assert nonnormality(runs.start(problem_of(CELLS[name]))).about == "recurrent_matrix"
