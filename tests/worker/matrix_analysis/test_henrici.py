"""Henrici's departure from normality."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import henrici_departure, schur_form

GENERATOR = np.random.default_rng(0)


def definition(matrix: np.ndarray) -> float:
    """sqrt(norm_F^2 - sum abs(lambda)^2) in sixty digits, where the cancellation does no harm."""
    with mp.workdps(60):
        exact = mp.matrix(matrix.tolist())
        eigenvalues = mp.eig(exact, left=False, right=False)
        return float(mp.sqrt(mp.fsum(x**2 for x in exact) - mp.fsum(abs(x) ** 2 for x in eigenvalues)))


@pytest.mark.parametrize("size", [2, 5, 12])
def test_departure_is_its_definition(size: int) -> None:
    matrix = GENERATOR.standard_normal((size, size))
    assert henrici_departure(matrix) == pytest.approx(definition(matrix), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("k", [1, -1])
def test_departure_of_a_triangular_matrix_is_its_strict_part(k: int) -> None:
    assert henrici_departure(0.9 * np.eye(10) + 1.5 * np.eye(10, k=k)) == pytest.approx(
        4.5, rel=1e-15, abs=0.0
    )


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[-3.0]]),
        np.diag([1.0, -2.0, 0.5]),
        np.ones((4, 4)),
        np.linalg.qr(GENERATOR.standard_normal((8, 8)))[0],
    ],
)
def test_departure_of_a_normal_matrix_is_rounding(matrix: np.ndarray) -> None:
    assert henrici_departure(matrix) < 1e-14 * np.linalg.norm(matrix)


def test_small_departure_is_not_lost_to_cancellation() -> None:
    """The squares differ by 1e-18, which the definition loses in float64."""
    rotation = np.linalg.qr(GENERATOR.standard_normal((2, 2)))[0]
    matrix = rotation @ np.array([[1.0, 1e-9], [0.0, 0.5]]) @ rotation.T
    assert henrici_departure(matrix) == pytest.approx(1e-9, rel=1e-6, abs=0.0)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_departure_scales_with_the_matrix(scale: float) -> None:
    matrix = np.array([[0.5, 3.0], [0.0, 0.4]])
    assert henrici_departure(scale * matrix) == pytest.approx(3.0 * scale, rel=1e-14, abs=0.0)


def test_a_schur_form_serves_as_well_as_the_matrix() -> None:
    matrix = GENERATOR.standard_normal((6, 6))
    assert henrici_departure(schur_form(matrix)) == henrici_departure(matrix)
