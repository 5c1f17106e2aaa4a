"""A diagnosis from end to end: what holds for a report whichever run made it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cases import CELLS, Array, BlockDiagonal, linear, pairs, problem, problem_of
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS
from gradhorizon_service.worker.drives import GivenInputs, GivenState
from gradhorizon_service.worker.entry import DiagnosisResult, analyse_spectrum, diagnose
from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.horizon import LN10
from gradhorizon_service.worker.losses import CotangentLoss, CrossEntropyLoss, SquaredErrorLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem, SpectrumProblem
from gradhorizon_service.worker.sources import EnsembleSource, MatrixSource, Rescale


def everything(asked: Problem) -> Problem:
    """The same problem with every diagnostic that applies."""
    return replace(
        asked,
        diagnostics=tuple(name for name, row in DIAGNOSTICS.items() if row.not_applicable(asked) is None),
    )


@pytest.mark.parametrize("name", pairs())
def test_every_cell_and_loss_has_a_full_report(name: str) -> None:
    cell, loss = pairs()[name]
    asked = everything(problem_of(cell, loss, clipping=ClippingPolicy("norm", 1.0, 2.0, "torch")))
    found = diagnose(asked)
    assert tuple(found.diagnostics) == asked.diagnostics
    assert found.outcome.kind == "completed"


def scalar(w: float, depth: int, **changed: object) -> DiagnosisResult:
    return diagnose(linear(np.array([[w]]), depth, **changed))


@pytest.mark.parametrize("max_points", [2, 16, 1000])
def test_the_horizon_looks_at_every_lag_whatever_is_shown(max_points: int) -> None:
    found = scalar(0.99, 1000, max_points=max_points, diagnostics=("gradient_norms",))
    assert found.horizon.steps == int(np.log(1000.0) / -np.log(0.99)) + 1


def test_a_level_met_exactly_is_not_passed() -> None:
    assert scalar(0.1, 10).horizon.steps == 4
    assert diagnose(linear(BlockDiagonal(np.array([0.1 + 0j])), 10)).horizon.steps == 4
    assert diagnose(linear(np.array([[0.1]]), 10, every_step=True)).horizon.steps == 4


def test_a_growing_gradient_has_a_horizon_too() -> None:
    found = scalar(2.0, 30).horizon
    assert (found.steps, found.direction, found.growth_steps, found.decay_steps) == (10, "growth", 10, None)


def test_a_horizon_beyond_the_depth_is_extrapolated() -> None:
    found = scalar(0.9, 20).horizon
    assert (found.steps, found.censored) == (None, True)
    assert found.extrapolated_steps == scalar(0.9, 200).horizon.steps == 66


def test_every_level_has_its_horizon() -> None:
    found = scalar(0.5, 30, horizon_level=0.2).horizon
    assert [(at.level, at.steps) for at in found.levels] == [
        (0.5, 2),
        (0.2, 3),
        (0.1, 4),
        (0.01, 7),
        (0.001, 10),
    ]


def test_a_zero_gradient_has_no_horizon_and_a_warning() -> None:
    found = scalar(
        0.5, 5, loss=CotangentLoss(np.zeros(1)), diagnostics=("gradient_norms", "parameter_gradient")
    )
    assert found.horizon.steps is None
    assert not found.horizon.censored
    assert any("exactly zero at lag 0" in warning for warning in found.warnings)
    assert found.verdict.given_cotangent == "dead"


def test_sequences_without_a_gradient_are_left_out_and_counted() -> None:
    loss = CotangentLoss(np.array([[1.0], [0.0], [1.0]]))
    found = diagnose(linear(np.array([[0.1]]), 10, batch=3, loss=loss))
    assert found.horizon.steps == 4
    assert any("1 of 3 sequences" in warning for warning in found.warnings)


def test_the_horizon_is_of_the_last_loss_alone() -> None:
    """Summed over steps, a gradient of 0.1^k settles at 1.11 and never falls to a thousandth."""
    found = scalar(0.1, 10, every_step=True, diagnostics=("gradient_norms",))
    assert found.horizon.steps == 4
    assert found.diagnostics["gradient_norms"].log10_norm[9] == pytest.approx(np.log10(1.0 / 0.9))  # type: ignore[attr-defined]


def test_truncation_does_not_touch_horizon_or_verdict() -> None:
    free, cut = (diagnose(problem_of(CELLS["rnn tanh"], truncate=k)) for k in (None, 1))
    assert free.horizon.decades_per_step == cut.horizon.decades_per_step
    assert free.verdict.summary == cut.verdict.summary


def test_a_diverging_run_reports_every_diagnostic_for_the_steps_before() -> None:
    network = NetworkSpec(
        "rnn", {"weights": MatrixSource(np.array([[10.0]])), "activation": "relu", "bias": np.array(1.0)}
    )
    asked = everything(problem(network, 400, clipping=ClippingPolicy("norm", 1.0)))
    found = diagnose(asked)
    assert (found.outcome.kind, found.outcome.steps_completed) == ("diverged", 309)
    assert found.horizon.steps == 4
    assert found.diagnostics["gradient_norms"].lag[-1] == 309  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "network",
    [
        NetworkSpec(
            "rnn",
            {"weights": MatrixSource(np.full((2, 2), 1e200)), "activation": "relu", "bias": np.array(1.0)},
        ),
        NetworkSpec(
            "feedforward", {"layers": [MatrixSource(np.full((3, 2), 1e200)), MatrixSource(np.ones((1, 3)))]}
        ),
    ],
    ids=["rnn", "feedforward"],
)
def test_a_run_that_diverges_at_its_first_step_still_has_a_report(network: NetworkSpec) -> None:
    """No step is left: the transport is the identity, and the weights have no gradient."""
    loss = SquaredErrorLoss(np.array(0.0), None, None, "half_sum")
    start = GivenState(np.full(2, 1e200))
    found = diagnose(
        everything(problem(network, 2, initial_state=start, loss=loss, clipping=ClippingPolicy("norm", 1.0)))
    )
    assert (found.outcome.kind, found.outcome.steps_completed) == ("diverged", 0)
    assert found.verdict.status_of_completed_steps == "stable"
    assert (found.horizon.steps, found.horizon.decades_per_step) == (None, None)
    assert found.diagnostics["gradient_norms"].lag.tolist() == [0]  # type: ignore[attr-defined]
    assert found.diagnostics["clipping"].log10_norm_before == -np.inf  # type: ignore[attr-defined]


def test_layers_drawn_afresh_are_different() -> None:
    source = EnsembleSource(family="gaussian", size=4, gain=1.0, seed=3)
    cell = NetworkSpec("feedforward", {"layers": source}, layers_drawn=3).build()
    first, second, third = cell.layers  # type: ignore[attr-defined]
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    again = NetworkSpec("feedforward", {"layers": source}, layers_drawn=3).build()
    assert np.array_equal(first, again.layers[0])  # type: ignore[attr-defined]


def test_a_matrix_that_cannot_be_built_is_named() -> None:
    nothing = MatrixSource(np.zeros((2, 2)), rescale=Rescale("spectral_radius", 1.0))
    with pytest.raises(CannotRun, match=r"network\.input_weights"):
        NetworkSpec("rnn", {"weights": MatrixSource(np.eye(2)), "input_weights": nothing}).build()
    with pytest.raises(CannotRun, match=r"network\.layers\[1\]"):
        NetworkSpec("feedforward", {"layers": [MatrixSource(np.eye(2)), nothing]}).build()
    with pytest.raises(CannotRun, match="source"):
        analyse_spectrum(SpectrumProblem(nothing, depth=5, include_matrix=False))


def test_a_spectrum_is_analysed_without_a_network() -> None:
    found = analyse_spectrum(
        SpectrumProblem(MatrixSource(np.diag([0.5, 2.0])), depth=10, include_matrix=True)
    )
    assert found.shape == (2, 2)
    assert found.spectrum.spectral_radius == pytest.approx(2.0)
    assert found.nonnormality.log10_peak == pytest.approx(10 * np.log10(2.0))
    assert found.matrix is not None
    assert found.matrix.tolist() == [[0.5, 0.0], [0.0, 2.0]]


# -- two real checkpoints ------------------------------------------------------------------------------------------


def checkpoint(folder: Path, name: str) -> Problem:
    tensors: dict[str, Array] = {
        k: v.astype(np.float64) for k, v in load_file(folder / f"{name}.safetensors").items()
    }
    inputs, labels = np.load(folder / "digits-inputs.npy"), np.load(folder / "digits-labels.npy")
    network = NetworkSpec(
        "rnn",
        {
            "weights": MatrixSource(tensors["rnn.weight_hh_l0"]),
            "input_weights": MatrixSource(tensors["rnn.weight_ih_l0"]),
            "input_bias": tensors["rnn.bias_ih_l0"],
            "recurrent_bias": tensors["rnn.bias_hh_l0"],
        },
    )
    loss = CrossEntropyLoss(tensors["head.weight"], tensors["head.bias"], labels)
    diagnostics = ("gradient_norms", "parameter_gradient")
    return problem(
        network,
        64,
        inputs=GivenInputs(inputs.astype(np.float64)),
        batch=16,
        loss=loss,
        diagnostics=diagnostics,
    )


NAMES = {
    "weights": "rnn.weight_hh_l0",
    "input_weights": "rnn.weight_ih_l0",
    "input_bias": "rnn.bias_ih_l0",
    "recurrent_bias": "rnn.bias_hh_l0",
    "readout_weight": "head.weight",
    "readout_bias": "head.bias",
}


@pytest.mark.parametrize(("name", "tolerance"), [("digits-rnn-tanh", 1e-9), ("digits-rnn-exploding", 1e-7)])
def test_a_checkpoint_has_the_gradients_that_autograd_recorded(
    digits: Path, name: str, tolerance: float
) -> None:
    """The exploding network is chaotic: PyTorch itself is 4e-9 from extended precision there."""
    truth = json.loads((digits / f"{name}.truth.json").read_text())
    found = diagnose(checkpoint(digits, name)).diagnostics
    by_lag = np.array(truth["hidden_gradient_norm"]["h"])[::-1, 0]
    batch = found["gradient_norms"].log10_batch_norm  # type: ignore[attr-defined]
    assert np.exp(batch * LN10) == pytest.approx(by_lag, rel=tolerance)
    norms = found["parameter_gradient"].log10_norm  # type: ignore[attr-defined]
    assert set(norms) == set(NAMES)
    for ours, theirs in NAMES.items():
        assert 10.0 ** norms[ours] == pytest.approx(truth["parameter_gradient_norm"][theirs], rel=tolerance)
