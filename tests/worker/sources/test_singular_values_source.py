"""Matrices with given singular values."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.sources import SingularValuesSource

VALUES = np.array([3.0, 1.0, 0.25])


def frame(rows: int, columns: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(9).standard_normal((rows, columns)))[0]


def test_matrix_has_the_given_singular_values() -> None:
    matrix = SingularValuesSource(VALUES, seed=1).build()
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False), VALUES, rtol=1e-14)


def test_identity_factors_give_the_diagonal() -> None:
    matrix = SingularValuesSource(VALUES, left="identity", right="identity").build()
    np.testing.assert_array_equal(matrix, np.diag(VALUES))


def test_explicit_factors_are_the_singular_vectors() -> None:
    left, right = frame(3, 3), frame(3, 3)[::-1]
    matrix = SingularValuesSource(VALUES, left=left, right=right).build()
    np.testing.assert_allclose(matrix @ right, left * VALUES, atol=1e-15)


def test_tall_factors_make_it_rectangular() -> None:
    source = SingularValuesSource(VALUES, left=frame(5, 3), right=frame(4, 3))
    assert source.shape == (5, 4) == source.build().shape
    np.testing.assert_allclose(np.linalg.svd(source.build(), compute_uv=False)[:3], VALUES, rtol=1e-14)


def test_factors_are_independent() -> None:
    """Equal ones would give a symmetric matrix whatever the values."""
    matrix = SingularValuesSource(VALUES, seed=1).build()
    assert not np.allclose(matrix, matrix.T)


@pytest.mark.parametrize("field", ["left", "right"])
def test_a_factor_that_is_not_orthonormal_is_refused(field: str) -> None:
    with pytest.raises(CannotRun, match=f"{field}.* not orthonormal") as caught:
        SingularValuesSource(VALUES, **{field: frame(3, 3) * (1.0 + 1e-7)}).build()
    assert caught.value.field == field


def test_a_factor_orthonormal_to_rounding_is_taken() -> None:
    matrix = SingularValuesSource(VALUES, left=frame(3, 3) * (1.0 + 1e-9)).build()
    assert matrix.shape == (3, 3)


def test_a_factor_with_the_wrong_number_of_columns_is_refused() -> None:
    with pytest.raises(CannotRun, match="one column for each of the 3 values"):
        SingularValuesSource(VALUES, left=frame(4, 2)).build()


def test_a_factor_with_nan_is_refused() -> None:
    with pytest.raises(CannotRun):
        SingularValuesSource(VALUES, left=np.full((3, 3), np.nan)).build()


def test_source_survives_pickling() -> None:
    source = SingularValuesSource(VALUES, left=frame(5, 3), seed=2)
    np.testing.assert_array_equal(source.build(), pickle.loads(pickle.dumps(source)).build())
