"""The first step of all at which a linear recurrence leaves a band, without looking at every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.products.deflation import deflated
from gradhorizon_service.worker.products.first_crossing import Crossing, first_crossing, first_passages
from gradhorizon_service.worker.products.flows import Flow
from gradhorizon_service.worker.products.ladders import PowerLadder
from gradhorizon_service.worker.products.levels import passages_of
from gradhorizon_service.worker.products.power_norms import krylov_log_norms

LEVEL = np.log(1000.0)


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def with_radius(matrix: np.ndarray, radius: float) -> np.ndarray:
    return matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max())


def medians_by_loop(matrix: np.ndarray, vectors: np.ndarray, depth: int) -> np.ndarray:
    rows, growth = vectors / np.linalg.norm(vectors, axis=1)[:, None], np.zeros(len(vectors))
    medians = np.zeros(depth + 1)
    for k in range(1, depth + 1):
        rows = rows @ matrix.T
        norms = np.linalg.norm(rows, axis=1)
        with np.errstate(divide="ignore"):
            growth = growth + np.log(norms)
        rows = np.divide(rows, norms[:, None], out=np.zeros_like(rows), where=norms[:, None] > 0)
        medians[k] = np.median(growth)
    return medians


def crossing_of(medians: np.ndarray, level: float) -> Crossing:
    hits = [np.flatnonzero(sign * medians > level) for sign in (-1, 1)]
    return Crossing(*(int(hit[0]) if len(hit) else None for hit in hits))


MATRICES = {
    "gaussian": lambda rng, n: rng.standard_normal((n, n)),
    "orthogonal": lambda rng, n: np.linalg.qr(rng.standard_normal((n, n)))[0],
    "symmetric": lambda rng, n: (g := rng.standard_normal((n, n))) + g.T,
    "triangular": lambda rng, n: np.triu(rng.standard_normal((n, n))) + np.eye(n),
    "jordan": lambda rng, n: np.eye(n) + rng.uniform(0.01, 1.5) * np.diag(np.ones(n - 1), 1),
    "sparse": lambda rng, n: rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.2) + 0.1 * np.eye(n),
    "rank one": lambda rng, n: np.outer(rng.standard_normal(n), rng.standard_normal(n)),
    "permutation": lambda rng, n: np.eye(n)[rng.permutation(n)],
}


@given(
    st.sampled_from(sorted(MATRICES)),
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 5, 12, 30]),
    st.sampled_from([0.5, 0.95, 0.999, 1.0, 1.001, 1.05, 2.0]),
    st.sampled_from([0.05, 0.7, LEVEL]),
    st.sampled_from([0, 1, 63, 65, 1500]),
)
def test_crossings_equal_those_of_the_loop(
    kind: str, seed: int, size: int, radius: float, level: float, depth: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = with_radius(MATRICES[kind](rng, size), radius)
    vectors = rng.standard_normal((int(rng.integers(1, 6)), size))
    medians = medians_by_loop(matrix, vectors, depth)
    found, expected = first_crossing(matrix, vectors, depth, level), crossing_of(medians, level)
    for step, other, sign in (
        (found.decay_step, expected.decay_step, -1),
        (found.growth_step, expected.growth_step, 1),
    ):
        # Where the two differ, the median only just touches the level.
        assert (
            step == other
            or abs(sign * medians[min(k for k in (step, other) if k is not None)] - level) < 1e-9
        )


@pytest.mark.parametrize("radius", [0.9999, 1.0, 1.0001])
@pytest.mark.parametrize("kind", ["orthogonal", "permutation"])
def test_orthogonal_weights_cross_where_their_factor_does(kind: str, radius: float) -> None:
    matrix = radius * MATRICES[kind](np.random.default_rng(0), 40)
    found = first_crossing(matrix, gaussian(1, 4, 40), 10**6, LEVEL + 1e-9)
    steps = None if radius == 1.0 else int(np.ceil(LEVEL / abs(np.log(radius))))
    assert found == Crossing(steps if radius < 1 else None, steps if radius > 1 else None)


@pytest.mark.parametrize("radius", [0.99999, 1.0, 1.00001])
def test_a_gaussian_matrix_at_the_edge_is_followed_to_a_million(radius: float) -> None:
    """Beyond its transient the growth is that of the leading pair, up to a bounded oscillation."""
    matrix = with_radius(gaussian(2, 64, 64), radius)
    found = first_crossing(matrix, gaussian(3, 5, 64), 10**6, LEVEL)
    assert found.certain
    assert (found.decay_step is None) == (radius >= 1.0)
    assert (found.growth_step is None) == (radius <= 1.0)
    steps = [k for k in (found.decay_step, found.growth_step) if k is not None]
    assert all(abs(k * np.log(radius)) == pytest.approx(LEVEL, abs=3.0) for k in steps)


def test_a_transient_is_seen_before_the_decay() -> None:
    """0.9 on the diagonal, 1.5 beside it: up by nine decades first, gone later."""
    matrix = 0.9 * np.eye(10) + 1.5 * np.diag(np.ones(9), 1)
    vectors = np.ones((1, 10))
    assert first_crossing(matrix, vectors, 10**6, LEVEL) == crossing_of(
        medians_by_loop(matrix, vectors, 1000), LEVEL
    )


def test_a_long_jordan_transient_is_followed_to_a_million() -> None:
    """J^k e_16 is largest in binom(k, 15) 0.9999^(k - 15), still 79 nats up at k = 1e6."""
    matrix = 0.9999 * np.eye(16) + np.diag(np.ones(15), 1)
    found = first_crossing(matrix, np.eye(16)[15:], 10**6, LEVEL)
    assert found.growth_step is not None
    assert found.decay_step is None
    assert found.certain


def test_nilpotent_weights_decay_where_they_reach_zero() -> None:
    shift = np.diag(np.ones(99), 1)
    assert first_crossing(shift, np.ones((1, 100)), 10**6, LEVEL) == Crossing(100, None)


def test_zero_vectors_have_no_say() -> None:
    vectors = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert first_crossing(0.5 * np.eye(2), vectors, 100, LEVEL) == Crossing(10, None)
    assert first_crossing(0.5 * np.eye(2), np.zeros((2, 2)), 100, LEVEL) == Crossing(None, None)


def test_vectors_that_feel_different_modes_are_followed_apart() -> None:
    """The median of three: the middle one is 0.999^k, while 1.5^k and 0.5^k leave float64 on both sides."""
    matrix = np.diag([1.5, 0.999, 0.5])
    assert first_crossing(matrix, np.eye(3), 10**6, LEVEL) == Crossing(6905, None)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_entries_cross_at_once(scale: float) -> None:
    found = first_crossing(scale * np.linalg.qr(gaussian(4, 8, 8))[0], gaussian(5, 2, 8), 10**6, LEVEL)
    assert found == (Crossing(1, None) if scale < 1 else Crossing(None, 1))


def test_an_unresolvable_transient_is_not_certain() -> None:
    matrix = 0.9999 * np.eye(256) + np.diag(np.ones(255), 1)
    assert not first_crossing(matrix, np.ones((1, 256)), 10**6, LEVEL).certain


def test_bounds_lie_above_all_powers() -> None:
    flow = Flow(PowerLadder(gaussian(6, 12, 12) / 3.5))
    norms = [
        np.log(np.linalg.norm(np.linalg.matrix_power(gaussian(6, 12, 12) / 3.5, k), 2)) for k in range(257)
    ]
    for j in range(9):
        assert flow.bound(j) >= max(norms[: 2**j + 1])
    assert flow.log_norm(8) == pytest.approx(norms[256], abs=1e-9)


def test_deflation_leaves_norms_as_they_are() -> None:
    matrix = gaussian(7, 60, 60) / 8
    flow, rows = Flow(PowerLadder(matrix)), gaussian(8, 3, 60) @ np.linalg.matrix_power(matrix, 256).T
    smaller = deflated(flow, rows, 256)
    assert smaller is not None
    leading, kept = smaller
    assert leading.size < 30
    assert np.linalg.norm(kept, axis=1) == pytest.approx(np.linalg.norm(rows, axis=1), rel=1e-10)
    assert krylov_log_norms(leading.ladder, kept, 500)[1:] == pytest.approx(
        krylov_log_norms(flow.ladder, rows, 500)[1:], abs=1e-9
    )


def test_deflation_waits_while_a_vector_needs_other_modes() -> None:
    matrix = np.diag([1.0, 0.5, 0.4])
    assert deflated(Flow(PowerLadder(matrix)), np.array([[0.0, 1.0, 1.0]]), 1000) is None
    assert deflated(Flow(PowerLadder(matrix)), np.array([[1.0, 0.5**1000, 0.0]]), 1000) is not None


@given(st.sampled_from(sorted(MATRICES)), st.integers(0, 10**6), st.sampled_from([1, 5, 12]))
def test_passages_of_the_norm_itself_match_a_loop(name: str, seed: int, size: int) -> None:
    """Several levels in one walk, and vectors of very different lengths; 0.01 apart from every number of the loop."""
    rng = np.random.default_rng(seed)
    matrix, depth = with_norm_near_one(MATRICES[name](rng, size)), 700
    vectors = rng.standard_normal((3, size)) * np.array([[1e-3], [1.0], [50.0]])
    growth = np.median(log_norms_by_loop(matrix, vectors, depth), axis=1)
    finite = growth[np.isfinite(growth)]
    levels = [
        x for x in rng.uniform(finite.min() - 1.0, finite.max() + 1.0, 12) if abs(finite - x).min() > 1e-9
    ]
    below, above = levels[::2], levels[1::2]
    found = first_passages(matrix, vectors, depth, below, above)
    expected = passages_of(growth, below, above)
    assert (found.below, found.above) == (expected.below, expected.above)


def with_norm_near_one(matrix: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(matrix, 2)
    return matrix / norm * 0.99 if norm > 0 else matrix


def log_norms_by_loop(matrix: np.ndarray, vectors: np.ndarray, depth: int) -> np.ndarray:
    rows, logs = vectors, np.zeros(len(vectors))
    found = []
    for _ in range(depth + 1):
        norms = np.linalg.norm(rows, axis=1)
        with np.errstate(divide="ignore"):
            logs = logs + np.log(norms)
        found.append(logs)
        rows = np.divide(rows, norms[:, None], out=np.zeros_like(rows), where=norms[:, None] > 0) @ matrix.T
    return np.array(found)


def test_many_levels_cost_one_walk_of_a_million_steps() -> None:
    """0.999^k falls below e^-x at the first k > x / -ln 0.999."""
    levels = [-1.0, -700.0, -10.0, -100.0]
    found = first_passages(np.array([[0.999]]), np.ones((1, 1)), 10**6, levels, [1.0])
    assert found.below == tuple(int(np.floor(level / np.log(0.999))) + 1 for level in levels)
    assert found.above == (None,)
