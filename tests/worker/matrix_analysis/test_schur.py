"""The triangular form: whatever a unitary change of basis keeps, it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis import SchurForm, by_modulus, eigenvalues_sorted, schur_form

GENERATOR = np.random.default_rng(0)


def reducible() -> np.ndarray:
    """A rotation, a dense block and two single coordinates, coupled upwards and shuffled."""
    matrix = np.triu(GENERATOR.standard_normal((7, 7)), 1)
    matrix[:2, :2] = [[0.5, -0.3], [0.3, 0.5]]
    matrix[2:5, 2:5] = GENERATOR.standard_normal((3, 3))
    order = GENERATOR.permutation(7)
    return matrix[np.ix_(order, order)]


MATRICES = {
    "one": np.array([[-2.0]]),
    "rotation": np.array([[0.6, -0.8], [0.8, 0.6]]),
    "dense": GENERATOR.standard_normal((20, 20)),
    "odd": GENERATOR.standard_normal((7, 7)),
    "symmetric": np.ones((4, 4)) + np.eye(4),
    "reducible": reducible(),
    "lower": np.tril(GENERATOR.standard_normal((6, 6))),
    "zero": np.zeros((3, 3)),
}


@pytest.fixture(params=MATRICES)
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, SchurForm]:
    matrix = MATRICES[request.param]
    return matrix, schur_form(matrix)


def test_form_is_upper_triangular(case: tuple[np.ndarray, SchurForm]) -> None:
    assert not np.tril(case[1].triangle, -1).any()


@pytest.mark.parametrize("shift", [0.0, 0.3 + 0.4j, -2.0j])
def test_resolvent_has_the_singular_values_of_the_matrix(
    case: tuple[np.ndarray, SchurForm], shift: complex
) -> None:
    """Equal for every shift, they make the two matrices unitarily similar as far as resolvents can tell."""
    matrix, form = case
    identity = np.eye(len(matrix))
    np.testing.assert_allclose(
        np.linalg.svd(form.triangle - shift * identity, compute_uv=False),
        np.linalg.svd(matrix - shift * identity, compute_uv=False),
        atol=1e-13,
    )


@pytest.mark.parametrize("power", [2, 5])
def test_powers_have_the_norm_of_the_matrix_powers(case: tuple[np.ndarray, SchurForm], power: int) -> None:
    matrix, form = case
    norms = [np.linalg.norm(np.linalg.matrix_power(each, power)) for each in (form.triangle, matrix)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-12, abs=0.0)


def test_diagonal_holds_the_eigenvalues(case: tuple[np.ndarray, SchurForm]) -> None:
    matrix, form = case
    np.testing.assert_allclose(by_modulus(form.eigenvalues), eigenvalues_sorted(matrix), atol=1e-12)


def test_conjugate_pairs_are_exact(case: tuple[np.ndarray, SchurForm]) -> None:
    values = case[1].eigenvalues
    np.testing.assert_array_equal(
        np.sort_complex(values[values.imag > 0.0]), np.sort_complex(values[values.imag < 0.0].conj())
    )


def test_entries_read_off_the_matrix_are_certain() -> None:
    assert not schur_form(MATRICES["lower"]).uncertainty.any()
    assert schur_form(MATRICES["dense"]).uncertainty.all()
    assert np.count_nonzero(schur_form(MATRICES["reducible"]).uncertainty) == 5


@pytest.mark.parametrize(
    ("matrix", "normal"),
    [
        (np.eye(3), True),
        (MATRICES["symmetric"], True),
        (MATRICES["rotation"], True),
        (np.linalg.qr(MATRICES["dense"])[0], True),
        (np.zeros((3, 3)), True),
        (np.array([[0.9, 1e-9], [0.0, 0.8]]), False),
        (MATRICES["dense"], False),
    ],
)
def test_normal_matrices_are_recognised(matrix: np.ndarray, normal: bool) -> None:
    assert schur_form(matrix).normal == normal
