"""A matrix given by its entries."""

from __future__ import annotations

import pickle

import numpy as np

from gradhorizon_service.worker.sources import MatrixSource

VALUES = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_matrix_is_the_values() -> None:
    np.testing.assert_array_equal(MatrixSource(VALUES).build(), VALUES)


def test_transpose_turns_matrix_and_shape() -> None:
    source = MatrixSource(VALUES, transpose=True)
    np.testing.assert_array_equal(source.build(), VALUES.T)
    assert source.shape == (3, 2)


def test_built_matrix_is_fresh_and_contiguous() -> None:
    """Whoever builds it may write into it, and products run at full speed."""
    built = MatrixSource(VALUES, transpose=True).build()
    assert not np.shares_memory(built, VALUES)
    assert built.flags.c_contiguous


def test_integers_and_single_precision_become_double() -> None:
    assert MatrixSource(VALUES.astype(np.float32)).build().dtype == np.float64
    assert MatrixSource(VALUES.astype(np.int64)).build().dtype == np.float64


def test_source_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(MatrixSource(VALUES, transpose=True)))
    np.testing.assert_array_equal(copy.build(), VALUES.T)
