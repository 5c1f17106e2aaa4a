"""The two ends of the singular values."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import smallest_singular_value, spectral_norm

GENERATOR = np.random.default_rng(0)


def singular_values(matrix: np.ndarray, digits: int = 700) -> list[mp.mpf]:
    with mp.workdps(digits):
        return list(mp.svd_r(mp.matrix(matrix.tolist()), compute_uv=False))


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (6, 3), (3, 6)])
def test_both_ends_are_those_of_numpy(shape: tuple[int, int]) -> None:
    matrix = GENERATOR.standard_normal(shape)
    values = np.linalg.svd(matrix, compute_uv=False)
    assert spectral_norm(matrix) == pytest.approx(values[0], rel=1e-14, abs=0.0)
    assert smallest_singular_value(matrix) == pytest.approx(values[-1], rel=1e-13, abs=0.0)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-600, 2.0**600, 2.0**1000])
def test_values_scale_with_the_matrix(scale: float) -> None:
    matrix = GENERATOR.standard_normal((4, 4))
    assert spectral_norm(scale * matrix) / scale == pytest.approx(spectral_norm(matrix), rel=1e-14, abs=0.0)
    assert smallest_singular_value(scale * matrix) / scale == pytest.approx(
        smallest_singular_value(matrix), rel=1e-13, abs=0.0
    )


def test_diagonal_of_four_hundred_decades() -> None:
    matrix = np.diag([1e-200, 1.0, 1e200])
    assert spectral_norm(matrix) == pytest.approx(1e200, rel=1e-15, abs=0.0)
    assert smallest_singular_value(matrix) == pytest.approx(1e-200, rel=1e-15, abs=0.0)


@pytest.mark.parametrize("decades", [5, 30, 120])
@pytest.mark.parametrize("shape", [(5, 5), (7, 5), (5, 7)])
def test_smallest_keeps_its_digits_under_bad_scaling(decades: int, shape: tuple[int, int]) -> None:
    """Ordinary SVD loses it below 1e-16 of the largest; rows and columns here span up to 240 decades."""
    rows, columns = (10.0 ** GENERATOR.uniform(-decades / 2.0, decades / 2.0, n) for n in shape)
    matrix = rows[:, None] * GENERATOR.standard_normal(shape) * columns
    expected = singular_values(matrix)[-1]
    assert smallest_singular_value(matrix) == pytest.approx(float(expected), rel=1e-11, abs=0.0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 3)])
def test_zero_matrix_has_zero_at_both_ends(shape: tuple[int, int]) -> None:
    assert spectral_norm(np.zeros(shape)) == smallest_singular_value(np.zeros(shape)) == 0.0


def test_matrix_with_a_zero_column_has_a_zero_singular_value() -> None:
    assert smallest_singular_value(np.array([[1.0, 0.0], [2.0, 0.0]])) == 0.0


def test_norm_beyond_float64_is_infinite() -> None:
    assert spectral_norm(np.full((3, 3), 1e308)) == np.inf
