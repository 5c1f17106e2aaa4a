"""Matrices with given eigenvalues."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.sources import DISTRIBUTIONS, Rescale, SpectrumSource

GIVEN = np.array([0.5 + 0.2j, 0.9, 0.5 - 0.2j, -0.3, 0.1 - 0.7j, 0.1 + 0.7j])

BASES: dict[str, dict[str, Any]] = {
    "identity": {"basis": "identity"},
    "orthogonal": {"basis": "orthogonal"},
    "condition": {"basis": "nonnormal", "condition": 100.0},
    "coupling": {"basis": "nonnormal", "coupling": 1.5},
}


def sorted_eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.sort_complex(np.round(np.linalg.eigvals(matrix), 10))


@pytest.mark.parametrize("basis", BASES.values(), ids=BASES)
def test_matrix_has_the_given_eigenvalues(basis: dict[str, Any]) -> None:
    source = SpectrumSource(GIVEN, **basis)
    np.testing.assert_allclose(sorted_eigenvalues(source.build()), np.sort_complex(GIVEN), atol=1e-9)
    assert source.shape == (6, 6)


def test_identity_basis_has_real_eigenvalues_first_and_then_rotating_blocks() -> None:
    matrix = SpectrumSource(np.array([0.5 + 0.2j, 0.9, 0.5 - 0.2j]), basis="identity").build()
    np.testing.assert_array_equal(matrix, [[0.9, 0.0, 0.0], [0.0, 0.5, -0.2], [0.0, 0.2, 0.5]])


def test_block_acts_as_its_eigenvalue_does_on_the_complex_plane() -> None:
    matrix = SpectrumSource(np.array([0.3 + 0.4j, 0.3 - 0.4j]), basis="identity").build()
    x, y = matrix @ [1.0, 2.0]
    assert complex(x, y) == pytest.approx((0.3 + 0.4j) * (1.0 + 2.0j))


@pytest.mark.parametrize("kind", ["uniform", "disk"])
@pytest.mark.parametrize("rescale", [None, Rescale("spectral_radius", 0.95), Rescale("spectral_norm", 0.95)])
def test_blocks_are_the_diagonal_of_the_matrix(kind: str, rescale: Rescale | None) -> None:
    """The matrix-free recurrence and the matrix are the same network."""
    parameters = {"low": -1.0, "high": 0.5} if kind == "uniform" else {"radius": 0.5}
    distribution = DISTRIBUTIONS[kind](size=7, **parameters)
    source = SpectrumSource(distribution=distribution, basis="identity", seed=5, rescale=rescale)
    real, pairs = source.blocks()
    matrix = source.build()
    count = len(real)
    np.testing.assert_allclose(np.diagonal(matrix)[:count], real, rtol=1e-15)
    np.testing.assert_allclose(np.diagonal(matrix)[count::2], pairs.real, rtol=1e-15)
    np.testing.assert_allclose(np.diagonal(matrix, -1)[count::2], pairs.imag, rtol=1e-15)


def test_a_million_coordinates_need_no_matrix() -> None:
    distribution = DISTRIBUTIONS["ring"](size=1_000_001, inner=0.9, outer=0.99)
    source = SpectrumSource(
        distribution=distribution, basis="identity", rescale=Rescale("spectral_radius", 0.5)
    )
    real, pairs = source.blocks()
    assert source.shape == (1_000_001, 1_000_001)
    assert (len(real), len(pairs)) == (1, 500_000)
    assert max(np.abs(real).max(), np.abs(pairs).max()) == pytest.approx(0.5, rel=1e-15, abs=0.0)


@pytest.mark.parametrize("basis", BASES.values(), ids=BASES)
def test_only_the_identity_basis_is_diagonal(basis: dict[str, Any]) -> None:
    assert SpectrumSource(GIVEN, **basis).is_diagonal == (basis["basis"] == "identity")


def test_orthogonal_basis_gives_a_normal_matrix() -> None:
    matrix = SpectrumSource(GIVEN, basis="orthogonal").build()
    np.testing.assert_allclose(matrix @ matrix.T, matrix.T @ matrix, atol=1e-15)


def test_real_eigenvalues_in_an_orthogonal_basis_give_an_exactly_symmetric_matrix() -> None:
    """Or rounding would give repeated eigenvalues an imaginary part."""
    matrix = SpectrumSource(np.full(20, 0.9 + 0.0j), basis="orthogonal").build()
    np.testing.assert_array_equal(matrix, matrix.T)


def test_condition_is_that_of_the_eigenvectors_up_to_their_scaling() -> None:
    """V has condition 1000; unit columns cannot be more than sqrt(N) better than the best scaling."""
    matrix = SpectrumSource(
        np.linspace(0.1, 0.9, 12) + 0.0j, basis="nonnormal", condition=1e3, seed=3
    ).build()
    condition = np.linalg.cond(np.linalg.eig(matrix)[1])
    assert 1e3 / 12.0 < condition < 1e3 * np.sqrt(12.0)


def test_condition_one_is_normal() -> None:
    matrix = SpectrumSource(GIVEN, basis="nonnormal", condition=1.0).build()
    np.testing.assert_allclose(matrix @ matrix.T, matrix.T @ matrix, atol=1e-15)


def test_coupling_of_a_repeated_eigenvalue_is_the_jordan_like_matrix() -> None:
    distribution = {"kind": "constant", "size": 10, "value": 0.9}
    matrix = SpectrumSource(distribution=distribution, basis="nonnormal", coupling=1.5).build()
    np.testing.assert_array_equal(matrix, 0.9 * np.eye(10) + 1.5 * np.eye(10, k=1))


def test_coupling_leads_each_block_to_the_next() -> None:
    matrix = SpectrumSource(GIVEN, basis="nonnormal", coupling=2.0).build()
    couplings = matrix - SpectrumSource(GIVEN, basis="identity").build()
    expected = np.zeros((6, 6))
    expected[0, 1] = expected[1, 2] = expected[2, 4] = expected[3, 5] = 2.0
    np.testing.assert_array_equal(couplings, expected)


def test_a_named_distribution_may_come_as_a_mapping() -> None:
    mapping = {"kind": "ring", "size": 9, "inner": 0.5, "outer": 0.9}
    made = DISTRIBUTIONS["ring"](size=9, inner=0.5, outer=0.9)
    built = [SpectrumSource(distribution=origin, seed=4).build() for origin in (mapping, made)]
    np.testing.assert_array_equal(*built)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [1.0 + 1.0j],
        [1.0 + 1.0j, 1.0 - 1.0j, 0.3 + 0.2j],
        [0.3 + 0.2j, 0.3 - 0.2000001j],
        [0.3 + 0.2j, 0.3 + 0.2j, 0.3 - 0.2j],
    ],
)
def test_a_complex_eigenvalue_without_its_conjugate_is_refused(eigenvalues: list[complex]) -> None:
    with pytest.raises(CannotRun, match="conjugate pairs") as caught:
        SpectrumSource(np.array(eigenvalues), basis="identity").build()
    assert caught.value.field == "eigenvalues"


def test_refusal_names_the_eigenvalue_to_add() -> None:
    with pytest.raises(CannotRun, match=r"list 0\.3-0\.2j as often as 0\.3\+0\.2j"):
        SpectrumSource(np.array([1.0, 0.3 + 0.2j])).build()


def test_repeated_pairs_are_pairs() -> None:
    real, pairs = SpectrumSource(np.array([1j, -1j, -1j, 1j]), basis="identity").blocks()
    assert len(real) == 0
    np.testing.assert_array_equal(pairs, [1j, 1j])


def test_a_condition_beyond_rounding_is_refused() -> None:
    with pytest.raises(CannotRun, match="coupling instead") as caught:
        SpectrumSource(GIVEN, basis="nonnormal", condition=1e13).build()
    assert caught.value.field == "condition"


@pytest.mark.parametrize("both", [{}, {"condition": 2.0, "coupling": 1.0}])
def test_nonnormal_needs_exactly_one_measure(both: dict[str, float]) -> None:
    with pytest.raises(CannotRun, match="either a condition or a coupling"):
        SpectrumSource(GIVEN, basis="nonnormal", **both).build()


def test_exactly_one_origin_of_the_eigenvalues_is_needed() -> None:
    with pytest.raises(CannotRun, match="either eigenvalues or a distribution"):
        SpectrumSource().build()


@pytest.mark.parametrize("basis", BASES.values(), ids=BASES)
def test_same_description_is_the_same_matrix_after_pickling(basis: dict[str, Any]) -> None:
    source = SpectrumSource(GIVEN, seed=8, **basis)
    np.testing.assert_array_equal(source.build(), pickle.loads(pickle.dumps(source)).build())
