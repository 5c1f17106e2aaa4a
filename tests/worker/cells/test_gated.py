"""LSTM and GRU against extended precision, closed forms, and what is commonly left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from cases import CELLS, GATED_SATURATED, WIDTH, Array, CellCase, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import NetworkSpec
from gradhorizon_service.worker.products.factors import DenseFactors
from gradhorizon_service.worker.products.lyapunov import lyapunov_exponents
from gradhorizon_service.worker.sources import MatrixSource

DIGITS = 120
STEP = mpmath.mpf(10) ** -40

Parameters = Mapping[str, Any]


def sigmoid(a: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-a))


def affine(W: Any, h: Sequence[Any]) -> list[Any]:
    return [mpmath.fdot(row, h) for row in W]


def stacked(p: Parameters, h: Sequence[Any], x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """W h + b_hh and U x + b_ih, each with its own bias."""
    inside = [a + b for a, b in zip(affine(p["weights"], h), p["recurrent_bias"], strict=True)]
    return inside, [a + b for a, b in zip(affine(p["input_weights"], x), p["input_bias"], strict=True)]


def lstm(p: Parameters, state: Sequence[Any], x: Sequence[Any]) -> list[Any]:
    H = len(p["weights"]) // 4
    h, c = state[:-H], state[-H:]
    a = [u + v for u, v in zip(*stacked(p, h, x), strict=True)]
    peepholes = p.get("peepholes", [[0] * H] * 3)
    following = [
        sigmoid(a[H + k] + peepholes[1][k] * c[k]) * c[k]
        + sigmoid(a[k] + peepholes[0][k] * c[k]) * mpmath.tanh(a[2 * H + k])
        for k in range(H)
    ]
    m = [sigmoid(a[3 * H + k] + peepholes[2][k] * y) * mpmath.tanh(y) for k, y in enumerate(following)]
    return [*(affine(p["projection"], m) if "projection" in p else m), *following]


def gru(p: Parameters, h: Sequence[Any], x: Sequence[Any]) -> list[Any]:
    H = len(h)
    inside, outside = stacked(p, h, x)
    r = [sigmoid(inside[k] + outside[k]) for k in range(H)]
    z = [sigmoid(inside[H + k] + outside[H + k]) for k in range(H)]
    if p["reset"] == "before":
        reset = affine(p["weights"][2 * H :], [a * b for a, b in zip(r, h, strict=True)])
        pushed = [q + b for q, b in zip(reset, p["recurrent_bias"][2 * H :], strict=True)]
    else:
        pushed = [a * q for a, q in zip(r, inside[2 * H :], strict=True)]
    n = [mpmath.tanh(a + b) for a, b in zip(pushed, outside[2 * H :], strict=True)]
    kept = zip(z, n, h, strict=True) if p["update"] == "keep" else zip(z, h, n, strict=True)
    return [(1 - a) * new + a * old for a, new, old in kept]


STEPS: Mapping[str, Callable[[Parameters, Sequence[Any], Sequence[Any]], list[Any]]] = {
    "lstm": lstm,
    "gru": gru,
}


def exact(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return exact(values.tolist())
    if isinstance(values, list):
        return [exact(value) for value in values]
    return mpmath.mpf(values) if isinstance(values, float) else values


def slope(function: Callable[[Any], Any], place: list[Any], k: int) -> Any:
    """By central differences far below the digits of float64 and far above those carried."""
    value = place[k]
    place[k] = value + STEP
    above = function(None)
    place[k] = value - STEP
    below = function(None)
    place[k] = value
    return (above - below) / (2 * STEP)


class Precise:
    """One sequence of a case, unrolled with 120 digits."""

    def __init__(self, case: CellCase, start: Array, inputs: Array, cotangent: Array) -> None:
        self.parameters = {name: exact(value) for name, value in case.parameters.items()}
        self.step, self.inputs, self.cotangent = STEPS[case.cell], exact(inputs), exact(cotangent)
        self.states = [exact(start)]
        for x in self.inputs:
            self.states.append(self.step(self.parameters, self.states[-1], x))

    def loss(self, first: int, state: list[Any]) -> Any:
        for x in self.inputs[first:]:
            state = self.step(self.parameters, state, x)
        return mpmath.fdot(self.cotangent, state)

    def gradients(self) -> Array:
        """dL/ds_t by lag, (T + 1, S)."""
        rows = []
        for first, state in reversed(list(enumerate(self.states))):
            loss = lambda _, first=first, state=state: self.loss(first, state)  # noqa: E731
            rows.append([float(slope(loss, state, k)) for k in range(len(state))])
        return np.array(rows)

    def parameter_gradient(self, name: str) -> Array:
        rows = self.parameters[name]
        if not isinstance(rows[0], list):
            rows = [rows]
        loss = lambda _: self.loss(0, self.states[0])  # noqa: E731
        return np.array([[float(slope(loss, row, k)) for k in range(len(row))] for row in rows])


@pytest.mark.parametrize("name", GATED_SATURATED)
def test_gradients_through_saturated_gates_are_those_of_extended_precision(name: str) -> None:
    case = GATED_SATURATED[name]
    rng = np.random.default_rng(0)
    start, inputs = rng.standard_normal(case.size), rng.standard_normal((case.depth, WIDTH))
    assert np.abs(inputs @ case.parameters["input_weights"].T).max() > 25.0
    cotangent = np.pad(rng.standard_normal(case.outputs), (0, case.size - case.outputs))
    run = runs.start(
        problem(
            case.network(),
            case.depth,
            inputs=GivenInputs(inputs[None]),
            initial_state=GivenState(start),
            loss=CotangentLoss(cotangent[: case.outputs]),
        )
    )
    with mpmath.workdps(DIGITS):
        precise = Precise(case, start, inputs, cotangent)
        expected = precise.gradients()
        parameters = {
            name: precise.parameter_gradient(name)
            for name, value in case.parameters.items()
            if not isinstance(value, str)
        }
    gradients = run.gradients  # type: ignore[attr-defined]
    found = np.asarray(gradients.gradients)[:, 0] * np.exp(gradients.log_scales)
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-15 * np.abs(expected).max())
    norms = run.gradient_log_norms(np.arange(case.depth + 1))[:, 0]
    assert norms == pytest.approx(np.log(np.linalg.norm(expected, axis=1)), abs=1e-11)
    for parameter, gradient in run.parameter_gradients().items():
        values, wanted = gradient.values(), parameters[parameter]
        assert values is not None
        assert values.reshape(wanted.shape) == pytest.approx(
            wanted, rel=1e-10, abs=1e-14 * np.abs(wanted).max()
        )


def forgetful(bias: float, size: int = 3) -> NetworkSpec:
    """An LSTM whose only nonzero parameter is the bias of its forget gates."""
    biases = np.zeros(4 * size)
    biases[size : 2 * size] = bias
    return NetworkSpec("lstm", {"weights": MatrixSource(np.zeros((4 * size, size))), "bias": biases})


@pytest.mark.parametrize(
    ("bias", "steps", "decades"),
    [(1.0, 100, -13.6048), (np.log(999.0), 1000, np.log10(0.3676954247709637))],
    ids=["forget bias 1", "chrono"],
)
def test_without_weights_the_gradient_is_a_product_of_forget_gates(
    bias: float, steps: int, decades: float
) -> None:
    """Chrono initialisation b = ln(T - 1) makes it (1 - 1/T)^T (Tallec and Ollivier 2018)."""
    run = runs.start(problem(forgetful(bias), steps + 1))
    c = run.parts["c"]  # type: ignore[index]
    first, last = run.gradient_log_norms(np.array([1, steps + 1]), c)[:, 0]
    assert (last - first) / np.log(10.0) == pytest.approx(decades, abs=5e-5)
    assert (last - first) == pytest.approx(-steps * np.log1p(np.exp(-bias)), rel=1e-12)


def test_leaving_out_the_path_of_c_is_visibly_wrong() -> None:
    """Some published Lyapunov spectra of LSTMs use dh'/dh alone: without weights that is zero, and c remembers."""
    run = runs.start(problem(forgetful(1.0), 50))
    factors = run.factors  # type: ignore[attr-defined]
    h = run.parts["h"]  # type: ignore[index]
    alone = DenseFactors(np.array([factors.dense(t)[:, h, h] for t in range(factors.steps)]))
    assert not alone.tensor.any()
    exponents = run.lyapunov(None).exponents[0]
    assert exponents[:3] == pytest.approx(np.full(3, np.log(1.0 / (1.0 + np.exp(-1.0)))), rel=1e-12)
    assert np.isneginf(exponents[3:]).all()


def test_the_spectrum_of_h_alone_is_not_that_of_the_state() -> None:
    run = runs.start(problem_of(CELLS["lstm"], depth=200))
    factors = run.factors  # type: ignore[attr-defined]
    alone = DenseFactors(np.array([factors.dense(t)[:, :3, :3] for t in range(factors.steps)]))
    whole = lyapunov_exponents(factors).exponents[0, 0]
    assert abs(lyapunov_exponents(alone).exponents[0, 0] - whole) > 0.1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_without_parameters_nothing_is_learnt_and_nothing_breaks(cell: str) -> None:
    rows = 3 * {"lstm": 4, "gru": 3}[cell]
    run = runs.start(problem(NetworkSpec(cell, {"weights": MatrixSource(np.zeros((rows, 3)))}), 5))
    gradients = run.parameter_gradients()
    assert gradients["weights"].log_norm == -np.inf
    norms = run.gradient_log_norms(np.arange(1, 6))
    assert np.diff(norms, axis=0) == pytest.approx(np.full((4, 1), -np.log(2.0)), rel=1e-13)


def test_closed_gates_stop_everything() -> None:
    """Input, forget and output gates at -1000 are zero in float64, and so is the gradient behind them."""
    biases = np.full(12, -1000.0)
    network = NetworkSpec("lstm", {"weights": MatrixSource(np.ones((12, 3))), "bias": biases})
    run = runs.start(problem(network, 4, initial_state=GivenState(np.full(6, 0.1))))
    assert np.isneginf(run.gradient_log_norms(np.arange(1, 5))).all()
    assert not run.trajectory.states[-1].any()  # type: ignore[attr-defined]


def test_an_update_gate_next_to_one_still_lets_in_what_is_new() -> None:
    """1 - z is e^-40, which 1 - z computed as a difference would round to zero."""
    network = NetworkSpec(
        "gru", {"weights": MatrixSource(np.zeros((3, 1))), "bias": np.array([0.0, 40.0, 1.0])}
    )
    run = runs.start(problem(network, 1))
    state = run.final_state()
    assert state is not None
    assert state[0, 0] == pytest.approx(np.exp(-40.0) * np.tanh(1.0), rel=1e-13)


def test_the_variants_of_a_gru_differ() -> None:
    names = [f"gru {reset} {update}" for reset in ("after", "before") for update in ("keep", "replace")]
    norms = [runs.start(problem_of(CELLS[name])).gradient_log_norms(np.array([6]))[0, 0] for name in names]
    assert len({round(float(norm), 6) for norm in norms}) == 4
