"""Factors of LSTM and GRU: their products, their determinants, and small directions behind closed gates."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cases import CELLS, Array
from gradhorizon_service.worker.cells import CELLS as KINDS
from gradhorizon_service.worker.products.factors import (
    DenseFactors,
    Factors,
    Gradable,
    KnownDeterminants,
    sequence_of,
)
from gradhorizon_service.worker.products.lyapunov import lyapunov_exponents
from gradhorizon_service.worker.products.singular_values import log_singular_values
from gradhorizon_service.worker.trajectory import run_forward
from high_precision import log_singular_values_of_product

VARIANTS = {
    "lstm": {"cell": "lstm"},
    "lstm projection": {"cell": "lstm", "outputs": 7},
    "gru after": {"cell": "gru", "reset": "after"},
    "gru before": {"cell": "gru", "reset": "before"},
}


def gated(
    cell: str, size: int = 11, outputs: int | None = None, steps: int = 6, batch: int = 2, **more: object
) -> Factors:
    """Factors along a trajectory driven by biases alone."""
    rng = np.random.default_rng(1)
    rows, P = size * {"lstm": 4, "gru": 3}[cell], outputs or size
    parameters = {
        "weights": 1.5 * rng.standard_normal((rows, P)) / np.sqrt(P),
        "bias": rng.standard_normal(rows),
        **more,
    }
    if outputs is not None:
        parameters["projection"] = rng.standard_normal((P, size)) / np.sqrt(size)
    built = KINDS[cell].build(**parameters)
    start = rng.standard_normal((batch, built.state_size))
    factors = run_forward(built, start, None, steps).linearisation.factors()
    assert factors is not None
    return factors


@pytest.fixture(params=VARIANTS)
def factors(request: pytest.FixtureRequest) -> Factors:
    return gated(**VARIANTS[request.param])


def dense(factors: Factors) -> DenseFactors:
    return DenseFactors(np.array([factors.dense(t) for t in range(factors.steps)]))


@pytest.mark.parametrize("columns", [1, 3, 31, 32, 40])
def test_wide_and_narrow_frames_go_through_the_same_jacobians(factors: Factors, columns: int) -> None:
    frames = np.random.default_rng(2).standard_normal((factors.batch, factors.size, columns))
    for step in range(factors.steps):
        J = factors.dense(step)
        assert factors.times(step, frames) == pytest.approx(J @ frames, rel=1e-12, abs=1e-13)
        transposed = J.swapaxes(1, 2) @ frames
        assert factors.transpose_times(step, frames) == pytest.approx(transposed, rel=1e-12, abs=1e-13)


def test_jacobians_are_fresh_arrays(factors: Factors) -> None:
    first = factors.dense(1)
    expected = first.copy()
    first[...] = 0.0
    assert np.array_equal(factors.dense(1), expected)


def test_a_sequence_has_the_jacobians_it_has_in_the_batch(factors: Factors) -> None:
    alone = sequence_of(factors, 1)
    assert alone.batch == 1
    for step in range(factors.steps):
        assert alone.dense(step) == pytest.approx(factors.dense(step)[1:], rel=1e-14)


@pytest.mark.parametrize("name", ["lstm", "lstm projection"])
def test_determinants_of_an_lstm_are_those_of_its_jacobians(name: str) -> None:
    factors = gated(**VARIANTS[name])
    assert isinstance(factors, KnownDeterminants)
    expected = np.array([np.linalg.slogdet(factors.dense(t))[1] for t in range(factors.steps)])
    assert factors.log_abs_dets() == pytest.approx(expected, abs=1e-10)


def test_an_lstm_without_weights_of_its_output_gate_is_singular() -> None:
    weights = np.ones((8, 2))
    weights[6:] = 0.0
    factors = KINDS["lstm"].build(weights=weights)
    found = run_forward(factors, np.ones((1, 4)), None, 3).linearisation.factors()
    assert isinstance(found, KnownDeterminants)
    assert np.isneginf(found.log_abs_dets()).all()


@pytest.mark.parametrize("name", ["lstm", "lstm projection"])
@pytest.mark.parametrize("columns", [2, 40])
def test_the_graded_chain_has_the_same_product(name: str, columns: int) -> None:
    factors = gated(**VARIANTS[name])
    assert isinstance(factors, Gradable)
    chain = factors.graded(closed=True)
    there = back = np.random.default_rng(3).standard_normal((factors.batch, factors.size, columns))
    product: Array = np.tile(np.eye(factors.size), (factors.batch, 1, 1))
    for step in range(chain.steps):
        assert chain.times(step, there) == pytest.approx(chain.dense(step) @ there, rel=1e-12, abs=1e-12)
        there = chain.times(step, there)
        if step < factors.steps:
            product = factors.dense(step) @ product
            in_state = chain.in_state_coordinates(step + 1, there)
            assert in_state == pytest.approx(product @ frames_of(factors, columns), rel=1e-11, abs=1e-12)
    for step in reversed(range(chain.steps)):
        back = chain.transpose_times(step, back)
    frames = frames_of(factors, columns)
    assert there == pytest.approx(product @ frames, rel=1e-11, abs=1e-12)
    assert back == pytest.approx(product.swapaxes(1, 2) @ frames, rel=1e-11, abs=1e-12)


def frames_of(factors: Factors, columns: int) -> Array:
    return np.random.default_rng(3).standard_normal((factors.batch, factors.size, columns))


def closed(output_bias: float, steps: int) -> Factors:
    """An LSTM whose output gates have slopes near e^-|bias|."""
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((12, 3))
    bias = np.concatenate([rng.standard_normal(9), np.full(3, output_bias)])
    built = KINDS["lstm"].build(weights=weights, bias=bias)
    found = run_forward(built, rng.standard_normal((1, 6)), None, steps).linearisation.factors()
    assert found is not None
    return found


def exact_factors(factors: Factors) -> list[mpmath.matrix]:
    """The Jacobians with their digits: C_o W_o and R K added with as many as it takes."""
    W, C = factors._gates, factors._coefficients[:, 0]  # type: ignore[attr-defined]
    H = W.shape[2]
    found = []
    for i, f, g, o, F, R in C:
        K = mpmath.matrix(H, H)
        for c, w in zip((i, f, g), W[:3], strict=True):
            K += mpmath.diag([mpmath.mpf(x) for x in c.tolist()]) * mpmath.matrix(w.tolist())
        A = mpmath.diag([mpmath.mpf(x) for x in o.tolist()]) * mpmath.matrix(W[3].tolist())
        D = mpmath.diag([mpmath.mpf(x) for x in R.tolist()])
        J = mpmath.matrix(2 * H, 2 * H)
        J[:H, :H], J[H:, :H], J[H:, H:] = A + D * K, K, mpmath.diag(F.tolist())
        J[:H, H:] = D * mpmath.diag(F.tolist())
        found.append(J)
    return found


@pytest.mark.parametrize("bias", [60.0, 600.0])
def test_directions_behind_a_saturated_output_gate_keep_their_digits(bias: float) -> None:
    """In the Jacobians themselves they drown: the dense ones are singular to working precision."""
    factors = closed(bias, 4)
    found = log_singular_values(factors)
    with mpmath.workdps(1200):
        product = mpmath.eye(6)
        for J in exact_factors(factors):
            product = J * product
        sigma = sorted(mpmath.svd(product, compute_uv=False), reverse=True)
        expected = [float(mpmath.log(value)) for value in sigma]
    assert expected[-1] < -2.0 * bias
    assert found.reliable.all()
    assert found.log_values[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("bias", [0.0, 60.0])
def test_exponents_add_up_to_the_determinants(bias: float) -> None:
    factors = closed(bias, 300)
    found = lyapunov_exponents(factors)
    assert np.isfinite(found.exponents).all()
    assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, rel=1e-10)


def test_a_direction_that_rounding_hides_is_not_annihilated() -> None:
    """Cells filled to 30 close their outputs to e^-60: a pivot drowns, and only the determinant still knows it."""
    rng, H, steps = np.random.default_rng(0), 18, 10
    built = KINDS["lstm"].build(
        weights=rng.standard_normal((4 * H, H)) / H**0.5, bias=rng.standard_normal(4 * H)
    )
    start = 30.0 * rng.standard_normal((1, 2 * H))
    factors = run_forward(built, start, None, steps).linearisation.factors()
    assert factors is not None
    found = lyapunov_exponents(factors, transient=0)
    assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, rel=1e-10)
    sums = np.zeros(2 * H)
    with mpmath.workdps(60):
        frame = mpmath.matrix(
            np.linalg.qr(np.random.default_rng(20).standard_normal((2 * H, 2 * H)))[0].tolist()
        )
        for J in exact_factors(factors):
            frame, triangle = mpmath.qr(J * frame)
            sums += [float(mpmath.log(abs(triangle[i, i]))) for i in range(2 * H)]
    assert found.exponents[0] == pytest.approx(np.sort(sums / steps)[::-1], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "size"),
    [("lstm", 5), ("lstm", 20), ("lstm projection", 20), ("gru after", 40), ("gru before", 40)],
)
def test_exponents_are_those_of_the_dense_jacobians(name: str, size: int) -> None:
    """By QR at every step, the slow way."""
    factors = gated(**{**VARIANTS[name], "size": size, "steps": 60})
    found = lyapunov_exponents(factors, transient=0)
    Q = np.linalg.qr(np.random.default_rng(20).standard_normal((factors.size, factors.size)))[0]
    sums = np.zeros(factors.size)
    for step in range(factors.steps):
        Q, R = np.linalg.qr(factors.dense(step)[0] @ Q)
        sums += np.log(np.abs(np.diagonal(R)))
    assert found.exponents[0] == pytest.approx(-np.sort(-sums / factors.steps), abs=1e-9)


def test_singular_values_of_a_long_product_keep_full_accuracy() -> None:
    factors = gated("lstm", size=3, steps=80, batch=1)
    jacobians = [factors.dense(t)[0] for t in range(factors.steps)]
    expected = log_singular_values_of_product(jacobians, 400)
    assert log_singular_values(factors).log_values[0] == pytest.approx(expected, rel=1e-9)


def test_every_gated_cell_is_measured_here() -> None:
    kinds = {name for name, kind in KINDS.items() if kind.is_gated}
    assert kinds == {str(variant["cell"]) for variant in VARIANTS.values()}
    assert kinds <= {case.cell for case in CELLS.values()}
