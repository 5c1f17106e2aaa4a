"""What the theory of wide random networks predicts for this ensemble, beside what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..activations import Activation, Identity
from ..cells import RnnCell
from ..cells.feedforward import FeedforwardCell
from ..horizon import LN10
from ..mean_field import LARGEST_VARIANCE, MeanField, critical_weight_variances, mean_field
from ..problem import Problem
from ..runs import Run
from ..runs.stepped import SteppedRun
from ..sources import EnsembleSource
from ..statistics import root_sum_of_squares

CELLS = ("linear", "rnn", "feedforward")
_SETTLED = 4.0  # depth scales after which lengths are within 2 % of q*
_ALIKE = 1e-12


@dataclass(frozen=True, eq=False)
class MeanFieldOfRun(MeanField):
    """The theory at the variances of the ensemble, and the growth of gradients it predicts."""

    weight_variance: float
    bias_variance: float
    critical_weight_variance: float | None
    critical_weight_variance_reason: str | None
    critical_gain: float | None
    critical_gain_reason: str | None
    predicted_log10_growth_per_step: float
    measured_log10_growth_per_step: float | None
    measured_log10_growth_per_step_reason: str | None
    measured_over_lags: int
    says: str


def without_ensemble(problem: Problem) -> str | None:
    """Why there is no theory of this network: its weights are not independent draws, or its layers differ."""
    cell = problem.network.cell
    if cell not in CELLS:
        return f"the theory is of plain layers, the cells {', '.join(CELLS)}; this is a {cell} network"
    if problem.network.parameters.get("residual"):
        return "the theory is of layers without the residual branch"
    variances = []
    for source in _sources(problem):
        if not isinstance(source, EnsembleSource):
            return "the theory is of random ensembles; these weights are given, not drawn from one"
        if source.shape[0] != source.shape[1]:
            return "the theory here is of layers of constant width"
        if source.rescale is not None:
            return "the theory needs independent entries; rescaled ones depend on the whole matrix"
        variance = source.entry_variance
        if variance is None:
            return f"the theory needs independent entries; those of this {source.family} ensemble are not"
        variances.append(variance * source.shape[1])
    if not 1.0 / LARGEST_VARIANCE <= min(variances) <= max(variances) <= LARGEST_VARIANCE:
        return f"the weights' variance is zero, or beyond {LARGEST_VARIANCE:g} either way"
    if max(variances) > min(variances) * (1.0 + _ALIKE) or len({s.shape for s in _sources(problem)}) > 1:
        return "the theory here is of layers of one variance and width"
    return None


def mean_field_of_run(run: Run) -> MeanFieldOfRun:
    """Compare the growth of gradients with mean-field theory at the ensemble's own variances."""
    activation = run.activation or Identity()
    weight_variance = _weight_variance(run.problem)
    bias_variance = _bias_variance(run)
    theory = mean_field(activation, weight_variance, bias_variance)
    (critical,) = critical_weight_variances(activation, [bias_variance])
    lags = _settled_lags(run, theory, activation)
    measured, reason = _growth(run, lags)
    predicted = theory.growth_rate / LN10
    return MeanFieldOfRun(
        **vars(theory),
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        critical_weight_variance=critical.value,
        critical_weight_variance_reason=critical.reason,
        critical_gain=None if critical.value is None else math.sqrt(critical.value),
        critical_gain_reason=critical.reason,
        predicted_log10_growth_per_step=predicted,
        measured_log10_growth_per_step=measured,
        measured_log10_growth_per_step_reason=reason,
        measured_over_lags=lags,
        says=_says(run, predicted, measured, lags),
    )


def _sources(problem: Problem) -> list[EnsembleSource]:
    """The sources of the layers, or of the matrix that all steps share."""
    parameters = problem.network.parameters
    if problem.network.cell != "feedforward":
        return [parameters["weights"]]
    layers = parameters["layers"]
    return list(layers) if isinstance(layers, list) else [layers]


def _weight_variance(problem: Problem) -> float:
    source = _sources(problem)[0]
    variance = source.entry_variance
    assert variance is not None, "the diagnostic applies to independent entries only"
    return variance * source.shape[1]


def _bias_variance(run: Run) -> float:
    """Mean square of U x + b over units, steps and sequences; zero below what the theory tells from it."""
    cell = run.cell
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(cell, FeedforwardCell):
            found = 0.0 if cell.biases is None else float(np.mean(np.square(np.concatenate(cell.biases))))
        else:
            assert isinstance(cell, RnnCell), "the diagnostic applies to plain layers only"
            found = _mean_square_drive(run, cell)
    if not found <= LARGEST_VARIANCE:
        run.warnings.append(
            f"mean_field: biases and inputs have a variance beyond {LARGEST_VARIANCE:g}; the theory takes it as that"
        )
        return LARGEST_VARIANCE
    return found if found >= 1.0 / LARGEST_VARIANCE else 0.0


def _mean_square_drive(run: Run, cell: RnnCell) -> float:
    """From the second moments of the inputs: E[(u x + b)^2] = u E[x x^T] u^T + 2 b u E[x] + b^2, mean over units."""
    bias = sum(cell.driven.biases.values(), np.zeros(len(cell.weights)))
    U, inputs = cell.driven.input_weights, run.inputs if isinstance(run, SteppedRun) else None
    if U is None or inputs is None:
        return float(np.mean(np.square(bias)))
    x = inputs.reshape(-1, inputs.shape[-1])
    moments = x.T @ x / len(x)
    square = np.einsum("ij,jk,ik->i", U, moments, U, optimize=True)
    return float(np.mean(square + 2.0 * bias * (U @ x.mean(axis=0)) + np.square(bias)))


def _settled_lags(run: Run, theory: MeanField, activation: Activation) -> int:
    """Lags that reach back to where lengths have settled, and at least half of them all."""
    if activation.homogeneous or theory.xi_q is None:
        return run.depth
    settling = math.ceil(_SETTLED * theory.xi_q) - run.problem.burn_in
    return run.depth - min(max(settling, 0), run.depth // 2)


def _growth(run: Run, lags: int) -> tuple[float | None, str | None]:
    """log10 of the root mean square over sequences of norm(g_K) / norm(g_0), by lag, for the loss of the last step."""
    if lags == 0:
        return None, "no step was completed"
    start, end = run.transported_log_norms(np.array([0, lags]))
    heard = np.isfinite(start)
    if not heard.any():
        return None, "the gradient of the loss is exactly zero at lag 0"
    changes: Array = end[heard] - start[heard]
    whole = float(root_sum_of_squares(changes)) - 0.5 * math.log(len(changes))
    if whole == -math.inf:
        return None, f"the gradient is exactly zero at lag {lags}"
    return whole / lags / LN10, None


def _says(run: Run, predicted: float, measured: float | None, lags: int) -> str:
    found = "could not be measured" if measured is None else f"measured {measured:+.4f} over {lags} lags"
    sentence = f"gradients change by {predicted:+.4f} decades per step in theory, {found}"
    if run.cell.recurrent:
        sentence += (
            "; the theory draws the weights afresh at every step, which shared weights resemble only as far as states "
            "do not remember them"
        )
    return sentence
