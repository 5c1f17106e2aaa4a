"""The Kreiss constant against closed forms, a slow search, and the theorem it is named after."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from gradhorizon_service.worker.matrix_analysis import kreiss_constant, schur_form

GENERATOR = np.random.default_rng(0)


def jordan(size: int, eigenvalue: float, coupling: float) -> np.ndarray:
    return eigenvalue * np.eye(size) + coupling * np.eye(size, k=1)


def objective(matrix: np.ndarray, z: complex) -> float:
    """ln((abs(z) - 1) norm((z I - W)^-1)) by a dense SVD."""
    smallest = np.linalg.svd(z * np.eye(len(matrix)) - matrix, compute_uv=False)[-1]
    return math.log(abs(z) - 1.0) - math.log(smallest)


def searched(matrix: np.ndarray) -> float:
    """A dense grid and a simplex search from its best points."""

    def height(position: np.ndarray) -> float:
        return -objective(
            matrix, (1.0 + math.exp(position[0])) * complex(math.cos(position[1]), math.sin(position[1]))
        )

    grid = [(x, y) for x in np.linspace(-7.0, 3.0, 31) for y in np.linspace(0.0, np.pi, 25)]
    starts = sorted(grid, key=lambda position: height(np.array(position)))[:4]
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 500}
    return -min(minimize(height, start, method="Nelder-Mead", options=options).fun for start in starts)


MATRICES = {
    "jordan": jordan(10, 0.9, 1.5),
    "negative": -jordan(10, 0.9, 1.5),
    "nilpotent": 5.0 * np.eye(10, k=1),
    "triangular": np.array([[0.9, 2.0], [0.0, 0.8]]),
    "spiral": np.array(
        [[0.6, -0.7, 3.0, 0.0], [0.7, 0.6, 0.0, 1.0], [0.0, 0.0, 0.1, -0.8], [0.0, 0.0, 0.8, 0.1]]
    ),
    "slow": np.array([[0.999, 5.0], [0.0, 0.3]]),
    "random": 0.6 * GENERATOR.standard_normal((12, 12)) / math.sqrt(12.0),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_constant_is_the_highest_point_a_slow_search_finds(matrix: np.ndarray) -> None:
    """Found from below, and the search is a lower bound too: neither may be clearly above the other."""
    assert kreiss_constant(matrix).log_value == pytest.approx(max(0.0, searched(matrix)), abs=1e-9)


@pytest.mark.parametrize("name", ["jordan", "spiral", "slow"])
def test_the_point_reported_proves_the_bound(name: str) -> None:
    result = kreiss_constant(MATRICES[name])
    assert result.point is not None
    assert result.value is not None
    assert math.log(result.value) == pytest.approx(objective(MATRICES[name], result.point), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_powers_rise_between_k_and_e_n_k(seed: int) -> None:
    """The Kreiss matrix theorem, on strictly triangular couplings around a spectral radius of 0.8."""
    generator = np.random.default_rng(seed)
    matrix = np.diag(generator.uniform(-0.8, 0.8, 6)) + np.triu(generator.standard_normal((6, 6)), 1)
    power, highest = np.eye(6), 1.0
    for _ in range(200):
        power = power @ matrix
        highest = max(highest, float(np.linalg.norm(power, 2)))
    constant = kreiss_constant(matrix).value
    assert constant is not None
    assert constant <= highest * (1.0 + 1e-9)
    assert highest <= math.e * 6.0 * constant


@pytest.mark.parametrize(("size", "coupling"), [(5, 1e20), (40, 1e20), (200, 1e3)])
def test_dominant_corner_gives_the_constant_in_closed_form(size: int, coupling: float) -> None:
    """norm((z - J)^-1) tends to c^(n-1) / (z - a)^n for large c, highest with z - 1 at z - 1 = (1 - a) / (n - 1)."""
    distance = 0.1 / (size - 1)
    expected = (size - 1) * math.log(coupling) + math.log(distance) - size * math.log(0.1 + distance)
    assert kreiss_constant(jordan(size, 0.9, coupling)).log_value == pytest.approx(
        expected, rel=1e-7, abs=0.0
    )


def test_constant_beyond_float64_is_a_logarithm_with_a_reason() -> None:
    result = kreiss_constant(jordan(40, 0.9, 1e20))
    assert result.value is None
    assert result.log_value is not None
    assert result.log_value > 700.0
    assert "10^8" in str(result.reason)


def test_entries_of_two_hundred_decades_do_no_harm() -> None:
    """(z - 1) c / ((z - a)(z - b)) is highest at z - 1 = sqrt((1 - a)(1 - b))."""
    distance = math.sqrt(0.5 * 0.6)
    expected = math.log(1e200 * distance / ((distance + 0.5) * (distance + 0.6)))
    assert kreiss_constant(np.array([[0.5, 1e200], [0.0, 0.4]])).log_value == pytest.approx(
        expected, rel=1e-9, abs=0.0
    )


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[0.9]]),
        np.array([[-1.0]]),
        np.eye(3),
        np.zeros((2, 2)),
        np.diag([0.9, -0.2]),
        np.linalg.qr(GENERATOR.standard_normal((30, 30)))[0],
    ],
)
def test_normal_matrix_of_radius_at_most_one_has_constant_one(matrix: np.ndarray) -> None:
    result = kreiss_constant(matrix)
    assert (result.value, result.is_lower_bound, result.reason) == (1.0, False, None)


@pytest.mark.parametrize("matrix", [np.array([[1.1]]), np.array([[1.0 + 1e-12, 5.0], [0.0, 0.3]])])
def test_radius_above_one_makes_it_infinite(matrix: np.ndarray) -> None:
    result = kreiss_constant(matrix)
    assert result.value is None
    assert "above 1" in str(result.reason)


def test_defective_eigenvalue_on_the_unit_circle_makes_it_infinite() -> None:
    result = kreiss_constant(np.array([[1.0, 5.0], [0.0, 1.0]]))
    assert result.value is None
    assert "defective" in str(result.reason)


def test_simple_eigenvalue_on_the_unit_circle_leaves_it_finite() -> None:
    """For z towards 1 the resolvent becomes the projection [[1, 5 / 0.7], [0, 0]] over z - 1."""
    result = kreiss_constant(np.array([[1.0, 5.0], [0.0, 0.3]]))
    assert result.value == pytest.approx(math.hypot(1.0, 5.0 / 0.7), rel=1e-6, abs=0.0)


def test_a_contraction_has_constant_one() -> None:
    """norm(W) < 1 gives norm((z I - W)^-1) <= 1 / (abs(z) - norm(W)), so the supremum is the limit 1."""
    result = kreiss_constant(np.array([[0.3, 0.4], [0.0, 0.2]]))
    assert (result.value, result.log_value) == (1.0, 0.0)


def test_a_schur_form_serves_as_well_as_the_matrix() -> None:
    assert kreiss_constant(schur_form(MATRICES["spiral"])) == kreiss_constant(MATRICES["spiral"])
