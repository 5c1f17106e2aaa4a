"""The numerical radius against closed forms and a fine grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import eigvalsh
from scipy.optimize import minimize_scalar

from gradhorizon_service.worker.matrix_analysis import eigenvalues_sorted, numerical_radius

GENERATOR = np.random.default_rng(0)


def support(matrix: np.ndarray, angle: float) -> float:
    hermitian = 0.5 * (np.exp(1j * angle) * matrix + np.exp(-1j * angle) * matrix.T)
    return float(eigvalsh(hermitian, subset_by_index=(len(matrix) - 1, len(matrix) - 1))[0])


def searched(matrix: np.ndarray, points: int) -> float:
    """The support function on a fine grid, and bounded maximisation around its best points."""
    angles = np.linspace(0.0, np.pi, points)
    heights = np.array([support(matrix, angle) for angle in angles])
    width = math.pi / points
    found = [
        minimize_scalar(
            lambda angle: -support(matrix, angle),
            bounds=(angles[i] - width, angles[i] + width),
            method="bounded",
            options={"xatol": 1e-9},
        )
        for i in np.argsort(-heights)[:3]
    ]
    return max(-float(result.fun) for result in found)


def grcar(size: int) -> np.ndarray:
    return np.triu(np.ones((size, size))) - np.triu(np.ones((size, size)), 4) - np.eye(size, k=-1)


@pytest.mark.parametrize("size", [1, 2, 5, 30, 130, 200])
def test_shift_has_the_cosine_of_its_size(size: int) -> None:
    """Sizes above 96 go through Lanczos; its range is a disk, where no direction is special."""
    expected = math.cos(math.pi / (size + 1)) if size > 1 else 0.0
    assert numerical_radius(np.eye(size, k=1)) == pytest.approx(expected, rel=1e-13, abs=0.0)


@pytest.mark.parametrize(
    ("a", "b", "c"), [(0.5, 0.4, 100.0), (0.9, -0.9, 1.0), (-2.0, 0.3, 1e-3), (0.0, 0.0, 1.0)]
)
def test_range_of_two_coordinates_is_an_ellipse(a: float, b: float, c: float) -> None:
    """Foci a and b, minor axis c (the elliptical range theorem): it reaches half the major axis past the middle."""
    expected = (abs(a + b) + math.hypot(a - b, c)) / 2.0
    assert numerical_radius(np.array([[a, c], [0.0, b]])) == pytest.approx(expected, rel=1e-14, abs=0.0)


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[-3.0]]),
        np.diag([0.5, -0.9]),
        np.linalg.qr(GENERATOR.standard_normal((40, 40)))[0],
        np.linalg.qr(GENERATOR.standard_normal((120, 120)))[0],
        np.kron(np.diag([0.9, 1.0, 0.95]), np.array([[0.6, -0.8], [0.8, 0.6]])),
        -np.eye(110),
    ],
)
def test_normal_matrix_has_its_spectral_radius(matrix: np.ndarray) -> None:
    assert numerical_radius(matrix) == pytest.approx(
        np.abs(np.linalg.eigvals(matrix)).max(), rel=1e-13, abs=0.0
    )


@pytest.mark.parametrize(
    "matrix",
    [
        GENERATOR.standard_normal((8, 8)),
        np.triu(GENERATOR.standard_normal((20, 20))),
        grcar(20),
        GENERATOR.standard_normal((60, 60)),
    ],
    ids=["dense", "triangular", "grcar", "larger"],
)
def test_radius_is_what_a_fine_grid_finds(matrix: np.ndarray) -> None:
    assert numerical_radius(matrix) == pytest.approx(searched(matrix, 400), rel=1e-12, abs=0.0)


@pytest.mark.parametrize(
    "matrix", [GENERATOR.standard_normal((120, 120)), grcar(140)], ids=["dense", "grcar"]
)
def test_lanczos_finds_what_a_grid_finds(matrix: np.ndarray) -> None:
    assert numerical_radius(matrix) == pytest.approx(searched(matrix, 100), rel=1e-11, abs=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_radius_lies_between_spectral_radius_and_norm_and_above_half_the_norm(seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((7, 7))
    radius, norm = numerical_radius(matrix), np.linalg.norm(matrix, 2)
    assert np.abs(np.linalg.eigvals(matrix)).max() <= radius * (1.0 + 1e-14)
    assert norm / 2.0 <= radius <= norm


@pytest.mark.parametrize("power", [2, 3, 7])
def test_powers_obey_the_power_inequality(power: int) -> None:
    """Berger's theorem: w(W^k) <= w(W)^k."""
    matrix = GENERATOR.standard_normal((6, 6))
    assert numerical_radius(np.linalg.matrix_power(matrix, power)) <= numerical_radius(matrix) ** power


def test_direct_sum_has_the_larger_radius() -> None:
    one, other = GENERATOR.standard_normal((5, 5)), 1.1 * GENERATOR.standard_normal((6, 6))
    both = np.block([[one, np.zeros((5, 6))], [np.zeros((6, 5)), other]])
    expected = max(numerical_radius(one), numerical_radius(other))
    assert numerical_radius(both) == pytest.approx(expected, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**600])
def test_radius_scales_with_the_matrix(scale: float) -> None:
    matrix = GENERATOR.standard_normal((5, 5))
    assert numerical_radius(scale * matrix) / scale == pytest.approx(
        numerical_radius(matrix), rel=1e-13, abs=0.0
    )


def test_bad_scaling_does_no_harm() -> None:
    assert numerical_radius(np.array([[1.0, 1e200], [1e-200, 1.0]])) == pytest.approx(
        5e199, rel=1e-14, abs=0.0
    )


@pytest.mark.parametrize("size", [3, 100])
def test_zero_matrix_has_radius_zero(size: int) -> None:
    assert numerical_radius(np.zeros((size, size))) == 0.0


@pytest.mark.parametrize("padding", [0, 120])
def test_the_higher_of_two_peaks_is_found_where_the_grid_prefers_the_other(padding: int) -> None:
    """An ellipse with its peak of 1.25 halfway between two angles of the grid, and a point of 1.24994 on the grid."""
    ellipse = np.array([[1.0 + 0.3j, 0.5], [0.0, 1.0 - 0.3j]]) * np.exp(1j * 10.5 * np.pi / 47.0)
    turned = np.block([[ellipse.real, -ellipse.imag], [ellipse.imag, ellipse.real]])
    matrix = np.zeros((5 + padding, 5 + padding))
    matrix[:4, :4] = turned
    matrix[4, 4] = 1.25 * (1.0 - 5e-5)
    assert numerical_radius(matrix) == pytest.approx(1.25, rel=1e-13, abs=0.0)


def test_known_eigenvalues_change_nothing() -> None:
    matrix = GENERATOR.standard_normal((9, 9))
    assert numerical_radius(matrix, eigenvalues_sorted(matrix)) == numerical_radius(matrix)
