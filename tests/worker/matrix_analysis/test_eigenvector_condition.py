"""The condition of the eigenvectors, also where it is 1e143 or infinite."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import log_eigenvector_condition, schur_form

GENERATOR = np.random.default_rng(0)
ROTATION = np.linalg.qr(GENERATOR.standard_normal((10, 10)))[0]
DEFECTIVE = 0.9 * np.eye(10) + 1.5 * np.eye(10, k=1)


def truth_of_triangular(matrix: np.ndarray, digits: int) -> float:
    """Eigenvectors by back substitution and their singular values, in enough digits to survive."""
    size = len(matrix)
    with mp.workdps(digits):
        exact = mp.matrix(matrix.tolist())
        vectors = mp.eye(size)
        for k in range(size):
            for i in range(k - 1, -1, -1):
                total = mp.fsum(exact[i, j] * vectors[j, k] for j in range(i + 1, k + 1))
                vectors[i, k] = total / (exact[k, k] - exact[i, i])
            length = mp.norm(vectors[:, k])
            for i in range(k + 1):
                vectors[i, k] /= length
        values = mp.svd_r(vectors, compute_uv=False)
        return float(mp.log(values[0] / values[size - 1]))


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_log_condition_is_that_of_numpy_while_that_is_small(size: int) -> None:
    matrix = GENERATOR.standard_normal((size, size))
    expected = math.log(np.linalg.cond(np.linalg.eig(matrix)[1]))
    result = log_eigenvector_condition(matrix)
    assert result.log_value == pytest.approx(expected, abs=1e-12)
    assert result.reliable
    assert result.reason is None


@pytest.mark.parametrize("coupling", [1e-3, 1.0, 1e50, 1e200])
@pytest.mark.parametrize("gap", [0.1, 1e-12])
def test_two_eigenvectors_have_the_condition_of_their_angle(coupling: float, gap: float) -> None:
    """At an angle t their condition is cot(t / 2), and tan t = gap / coupling: ln cond = asinh(1 / tan t)."""
    matrix = np.array([[0.5, coupling], [0.0, 0.5 + gap]])
    result = log_eigenvector_condition(matrix)
    assert result.log_value == pytest.approx(math.asinh(coupling / (matrix[1, 1] - 0.5)), rel=1e-13, abs=0.0)
    assert result.reliable


@pytest.mark.parametrize(("step", "digits"), [(1e-3, 80), (1e-12, 250)])
def test_nearly_defective_triangular_matrix_keeps_its_digits(step: float, digits: int) -> None:
    """Conditions of 1e26 and 1e107, where float64 eigenvectors have 1e16 at most."""
    matrix = np.diag(0.9 + step * np.arange(10)) + 1.5 * np.eye(10, k=1)
    assert log_eigenvector_condition(matrix).log_value == pytest.approx(
        truth_of_triangular(matrix, digits), rel=1e-10, abs=0.0
    )


@pytest.mark.parametrize("flip", [False, True])
def test_random_triangular_matrix_keeps_its_digits(flip: bool) -> None:
    matrix = np.triu(GENERATOR.standard_normal((16, 16)))
    shown = matrix[::-1, ::-1] if flip else matrix
    assert log_eigenvector_condition(shown).log_value == pytest.approx(
        truth_of_triangular(matrix, 60), rel=1e-10, abs=0.0
    )


@pytest.mark.parametrize("matrix", [DEFECTIVE, DEFECTIVE.T, np.array([[0.0, 1e-200], [0.0, 0.0]])])
def test_defective_matrix_has_an_infinite_condition_and_a_reason(matrix: np.ndarray) -> None:
    result = log_eigenvector_condition(matrix)
    assert result.log_value == math.inf
    assert result.reliable
    assert "defective" in str(result.reason)


def test_defective_pairs_are_found_too() -> None:
    blocks = np.kron(np.eye(3), np.array([[0.5, -0.5], [0.5, 0.5]])) + np.eye(6, k=2)
    assert log_eigenvector_condition(blocks).log_value == math.inf


def test_rounded_defective_matrix_is_flagged() -> None:
    """After a rotation the entries no longer say whether it is defective: float64 cannot know."""
    result = log_eigenvector_condition(ROTATION @ DEFECTIVE @ ROTATION.T)
    assert not result.reliable
    assert "lower estimate" in str(result.reason)


@pytest.mark.parametrize(
    "matrix",
    [np.eye(4), ROTATION, ROTATION @ (0.9 * np.eye(10)) @ ROTATION.T, np.zeros((2, 2)), np.ones((3, 3))],
)
def test_normal_matrix_has_condition_one(matrix: np.ndarray) -> None:
    result = log_eigenvector_condition(matrix)
    assert (result.log_value, result.reliable) == (0.0, True)


def test_repeated_eigenvalue_with_all_its_eigenvectors_is_not_defective() -> None:
    """The eigenvectors of 0.5 are free within their plane; the coordinate axes are taken."""
    matrix = np.array([[0.5, 0.0, 1.0], [0.0, 0.5, 2.0], [0.0, 0.0, 0.3]])
    result = log_eigenvector_condition(matrix)
    axes = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 10.0], [0.0, 0.0, -1.0]])
    assert result.log_value == pytest.approx(math.log(np.linalg.cond(axes / np.linalg.norm(axes, axis=0))))
    assert result.reliable


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_condition_does_not_depend_on_scale(scale: float) -> None:
    matrix = GENERATOR.standard_normal((6, 6))
    assert log_eigenvector_condition(scale * matrix).log_value == pytest.approx(
        log_eigenvector_condition(matrix).log_value, abs=1e-12
    )


def test_a_schur_form_serves_as_well_as_the_matrix() -> None:
    matrix = GENERATOR.standard_normal((6, 6))
    assert log_eigenvector_condition(schur_form(matrix)) == log_eigenvector_condition(matrix)
