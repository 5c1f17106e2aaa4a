"""Weights as maps of rows: the same numbers however they are cut for BLAS."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.linear_map import LinearMap


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 16, 300])
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 2), (1024, 256), (384, 131), (131, 512), (257, 509), (64, 4096)]
)
def test_rows_are_mapped_forward_and_back(rows: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal(shape)
    # Parts of wider states, as cells hand them over.
    h, g = (
        rng.standard_normal((rows, shape[1] + 3))[:, 2:-1],
        rng.standard_normal((rows, shape[0] + 1))[:, :-1],
    )
    maps = LinearMap(W)
    for _ in range(2):
        np.testing.assert_allclose(maps.forward(h), h @ W.T, atol=1e-10)
        np.testing.assert_allclose(maps.back(g), g @ W, atol=1e-10)


def test_other_numbers_of_rows_may_follow() -> None:
    rng = np.random.default_rng(1)
    W = rng.standard_normal((1024, 256))
    maps = LinearMap(W)
    for rows in (16, 4, 40, 16):
        h = rng.standard_normal((rows, 256))
        np.testing.assert_allclose(maps.forward(h), h @ W.T, atol=1e-10)


def test_gradients_of_several_terms_go_back_side_by_side() -> None:
    rng = np.random.default_rng(2)
    W, g = rng.standard_normal((6, 4)), rng.standard_normal((5, 3, 6))
    assert LinearMap(W).back(g) == pytest.approx(g @ W, abs=1e-12)


def test_the_caller_may_overwrite_what_it_gets() -> None:
    W, h = np.eye(2), np.ones((3, 2))
    maps = LinearMap(W)
    maps.forward(h)[...] = 7.0
    maps.back(h)[...] = 7.0
    assert np.array_equal(maps.forward(h), h)
    assert np.array_equal(W, np.eye(2))
