"""What a descent comes to: the course of every policy over its seeds, and a row for every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..grid import thinned_evenly
from ..horizon import LN10
from .descent import Record, descend
from .problem import DescentProblem

QUANTITIES = ("loss", "gradient", "parameters")
UNDONE = 0.9
"""The share of the progress from which on a step counts as having undone it."""
_BENT_DOWN = "the loss does not bend upwards along the step, which then sets no limit to the learning rate"
_NOT_MEASURED = "the curvature was not measured at this step; raise curvature_points"
_NO_DIRECTION = "the step is zero or not finite"


@dataclass(frozen=True, eq=False)
class Course:
    """Quantities at the steps shown, over the runs that are finite there: medians, and 10 % and 90 % quantiles.

    At step k stands what holds at theta_k, before update k + 1; progress_lost is by update k. The course ends with the
    last step at which a run is finite.
    """

    step: Array
    finite_runs: Array
    loss: Array
    loss_q10: Array
    loss_q90: Array
    log10_gradient_norm: Array
    log10_gradient_norm_q10: Array
    log10_gradient_norm_q90: Array
    log10_parameter_norm: Array
    log10_parameter_norm_q10: Array
    log10_parameter_norm_q90: Array
    clipped_share: Array
    progress_lost: Array
    progress_lost_largest: Array


@dataclass(frozen=True, eq=False)
class CurvatureCourse:
    """Curvature along the steps that leave theta_k: medians and quantiles; NaN where no run has a direction."""

    step: Array
    curvature: Array
    curvature_q10: Array
    curvature_q90: Array
    stable_learning_rate: Array
    stable_learning_rate_reason: str | None


@dataclass(frozen=True, eq=False)
class StepBack:
    """The update of a run that undid most of the progress before it."""

    step: int
    progress_lost: float | None
    progress_lost_reason: str | None
    loss_before: float
    loss_after: float | None
    loss_after_reason: str | None
    log10_gradient_norm: float
    log10_gradient_norm_reason: str | None
    clipped: bool
    curvature: float | None
    curvature_reason: str | None
    stable_learning_rate: float | None
    stable_learning_rate_reason: str | None


@dataclass(frozen=True, eq=False)
class RunRow:
    """One seed with one policy."""

    policy: str
    seed: int
    solved: bool
    score: float | None
    score_reason: str | None
    first_loss: float | None
    lowest_loss: float | None
    final_loss: float | None
    loss_reason: str | None
    clip_events: int
    first_clipped_step: int | None
    last_clipped_step: int | None
    step_back: StepBack | None
    first_non_finite_loss: int | None
    first_non_finite_gradient: int | None
    first_non_finite_parameters: int | None


@dataclass(frozen=True, eq=False)
class RunCourse:
    """The course of one run, up to the last step at which it is finite."""

    policy: str
    seed: int
    step: Array
    loss: Array
    log10_gradient_norm: Array
    log10_parameter_norm: Array
    clipped: list[bool]
    progress_lost: Array


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """All seeds with one policy."""

    name: str
    says: str
    runs: int
    solved: int
    success_rate: float
    clip_events: int
    largest_progress_lost: float
    runs_undone: int
    non_finite_runs: int
    first_non_finite_step: int | None
    course: Course
    curvature: CurvatureCourse | None


@dataclass(frozen=True, eq=False)
class DescentResult:
    """Everything a descent reports; parameters are one run's by name, None for a run that is not finite."""

    policies: list[PolicyResult]
    runs: list[RunRow]
    courses: list[RunCourse] | None
    initial: list[Mapping[str, Array]] | None
    final: list[Mapping[str, Array] | None] | None
    test_inputs: Array | None
    test_targets: Array | None
    warnings: list[str]


def run_descent(problem: DescentProblem) -> DescentResult:
    """Descend and sum up. Raises CannotRun where a start cannot be drawn."""
    record = descend(problem)
    seeds = len(problem.seeds)
    rows = [_row(problem, record, run) for run in range(problem.runs)]
    own = {name: slice(i * seeds, (i + 1) * seeds) for i, name in enumerate(problem.policies)}
    include, test = problem.include, record.test
    return DescentResult(
        [_policy(problem, record, name, runs, rows[runs]) for name, runs in own.items()],
        rows,
        [_run_course(problem, record, run) for run in range(problem.runs)] if "runs" in include else None,
        [_parameters(record.initial, run) for run in range(seeds)]
        if "initial_parameters" in include
        else None,
        [_finite_parameters(record, run) for run in range(problem.runs)] if "parameters" in include else None,
        None
        if "data" not in include or test.inputs is None
        else test.inputs[:, :seeds].transpose(1, 2, 0, 3).astype(np.float64),
        test.targets[:seeds] if "data" in include else None,
        _warnings(problem, record),
    )


def _policy(
    problem: DescentProblem, record: Record, name: str, runs: slice, rows: list[RunRow]
) -> PolicyResult:
    solved = sum(row.solved for row in rows)
    lost = [share for row in rows if (share := _lost(row)) is not None]
    first = [min(steps) for row in rows if (steps := _non_finite_steps(row))]
    undone = sum(share >= UNDONE for share in lost)
    return PolicyResult(
        name,
        _says(problem, rows, solved, undone, first),
        len(rows),
        solved,
        solved / len(rows),
        sum(row.clip_events for row in rows),
        max(lost, default=0.0),
        undone,
        len(first),
        min(first, default=None),
        _course(problem, record, runs),
        _curvature_course(record, runs) if len(record.curvature_step) else None,
    )


def _lost(row: RunRow) -> float | None:
    return None if row.step_back is None else row.step_back.progress_lost


def _non_finite_steps(row: RunRow) -> list[int]:
    found = (row.first_non_finite_loss, row.first_non_finite_gradient, row.first_non_finite_parameters)
    return [step for step in found if step is not None]


def _says(
    problem: DescentProblem, rows: list[RunRow], solved: int, undone: int, non_finite: list[int]
) -> str:
    total = len(rows)
    one = total == 1
    parts = [
        ("the task is solved" if solved else "the task is not solved")
        if one
        else f"{solved} of {total} runs solve the task"
    ]
    if undone and one:
        parts.append(_worst(rows[0].step_back))
    elif undone:
        parts.append(f"in {undone} a single update undoes 90 % of the progress or more")
    if non_finite:
        when = f"from step {min(non_finite)} on"
        parts.append(
            f"numbers leave {problem.dtype} {when}"
            if one
            else f"{len(non_finite)} leave {problem.dtype}, {when}"
        )
    events = sum(row.clip_events for row in rows)
    if events:
        share = events / (total * problem.steps)
        parts.append(f"gradients are clipped at {100.0 * share:.3g} % of the steps")
    return "; ".join(parts)


def _worst(back: StepBack | None) -> str:
    assert back is not None, "something was undone"
    share = back.progress_lost or 0.0
    how = "more than all" if share >= 1.005 else f"{100.0 * share:.0f} %"
    return f"update {back.step} undoes {how} of the progress before it"


def _course(problem: DescentProblem, record: Record, runs: slice) -> Course:
    finite = _finite(record)[:, runs]
    last = int(np.flatnonzero(finite.any(axis=1)).max(initial=-1))
    steps = thinned_evenly(np.arange(last + 1), problem.max_points)
    shown = finite[steps]

    def at(values: Array) -> Array:
        return np.where(shown, values[steps, runs], np.nan)

    loss, lost = at(record.loss), at(record.progress_lost)
    gradient, parameters = at(record.log_gradient_norm) / LN10, at(record.log_parameter_norm) / LN10
    counts = shown.sum(axis=1)
    return Course(
        steps,
        counts,
        *_median_and_tails(loss),
        *_median_and_tails(gradient),
        *_median_and_tails(parameters),
        (record.clipped[steps, runs] & shown).sum(axis=1) / np.maximum(counts, 1),
        quantile_of_numbers(lost, 0.5),
        quantile_of_numbers(lost, 1.0),
    )


def _median_and_tails(values: Array) -> tuple[Array, Array, Array]:
    return (
        quantile_of_numbers(values, 0.5),
        quantile_of_numbers(values, 0.1),
        quantile_of_numbers(values, 0.9),
    )


def _curvature_course(record: Record, runs: slice) -> CurvatureCourse:
    values = record.curvature[:, runs]
    median, low, high = _median_and_tails(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(median > 0.0, 2.0 / median, np.nan)
    rate = np.where(np.isfinite(rate), rate, np.nan)
    return CurvatureCourse(
        record.curvature_step,
        median,
        low,
        high,
        rate,
        f"where it is null, {_BENT_DOWN}, or there is no step" if np.isnan(rate).any() else None,
    )


def quantile_of_numbers(values: Array, q: float) -> Array:
    """Quantile of each row (T, R) over its entries that are not NaN, -inf lowest; NaN for a row without any.

    By linear interpolation between order statistics, as in `statistics.quantile`.
    """
    ordered = np.sort(values, axis=1)  # NaN last
    counts = (~np.isnan(values)).sum(axis=1)
    position = q * np.maximum(counts - 1, 0)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(counts - 1, 0))
    rows = np.arange(len(values))
    low, high = ordered[rows, below], ordered[rows, above]
    with np.errstate(invalid="ignore"):
        between = low + (position - below) * (high - low)
    exact = np.isneginf(low) | (below == above) | (position == below)
    return np.asarray(np.where(exact, low, between))


def _finite(record: Record) -> Array:
    """Whether loss, gradient and parameters of a run are finite, (K + 1, R)."""
    series = np.stack([record.loss, record.log_gradient_norm, record.log_parameter_norm])
    return np.asarray(~np.isnan(series).any(axis=0))


def _row(problem: DescentProblem, record: Record, run: int) -> RunRow:
    loss = record.loss[:, run]
    numbers = loss[np.isfinite(loss)]
    clipped = np.flatnonzero(record.clipped[:, run])
    score = float(record.verdict.score[run])
    first = {name: int(record.first_non_finite[name][run]) for name in QUANTITIES}
    lost = {name: None if step < 0 else step for name, step in first.items()}
    left = None if np.isfinite(loss).all() else f"the loss leaves {problem.dtype} or its parameters do"
    policy, place = divmod(run, len(problem.seeds))
    return RunRow(
        list(problem.policies)[policy],
        problem.seeds[place],
        bool(record.verdict.solved[run]) and np.isfinite(score),
        score if np.isfinite(score) else None,
        None if np.isfinite(score) else "the trained network does not answer with finite numbers",
        _number(loss[0]),
        float(numbers.min()) if len(numbers) else None,
        _number(loss[-1]),
        left,
        len(clipped),
        int(clipped[0]) if len(clipped) else None,
        int(clipped[-1]) if len(clipped) else None,
        _step_back(record, run),
        *(lost[name] for name in QUANTITIES),
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _step_back(record: Record, run: int) -> StepBack | None:
    lost, rise = record.progress_lost[:, run], record.rise[:, run]
    if not (rise > 0.0).any():
        return None
    step = int(np.nanargmax(lost) if np.nanmax(lost) > 0.0 else np.argmax(rise))
    share = _number(lost[step])
    curvature, reason = _curvature_at(record, run, step - 1)
    bends = curvature is not None and curvature > 0.0 and np.isfinite(2.0 / curvature)
    after = _number(record.loss_after[step, run])
    gradient = float(record.log_gradient_norm[step - 1, run] / LN10)
    return StepBack(
        step,
        share,
        None if share is not None else "no progress had been made before it",
        float(record.loss[step - 1, run]),
        after,
        None if after is not None else "the loss is no longer finite",
        gradient,
        "the gradient is not finite" if np.isnan(gradient) else None,
        bool(record.clipped[step - 1, run]),
        curvature,
        reason,
        2.0 / curvature if bends and curvature is not None else None,
        None if bends else reason or _BENT_DOWN,
    )


def _curvature_at(record: Record, run: int, step: int) -> tuple[float | None, str | None]:
    place = np.flatnonzero(record.curvature_step == step)
    if len(place) == 0:
        return None, _NOT_MEASURED
    value = float(record.curvature[place[0], run])
    return (value, None) if np.isfinite(value) else (None, _NO_DIRECTION)


def _run_course(problem: DescentProblem, record: Record, run: int) -> RunCourse:
    finite = np.flatnonzero(_finite(record)[:, run])
    steps = thinned_evenly(finite, problem.max_points)
    policy, place = divmod(run, len(problem.seeds))
    return RunCourse(
        list(problem.policies)[policy],
        problem.seeds[place],
        steps,
        record.loss[steps, run],
        record.log_gradient_norm[steps, run] / LN10,
        record.log_parameter_norm[steps, run] / LN10,
        record.clipped[steps, run].tolist(),
        record.progress_lost[steps, run],
    )


def _parameters(parameters: Mapping[str, Array], run: int) -> dict[str, Array]:
    return {name: values[run] for name, values in parameters.items()}


def _finite_parameters(record: Record, run: int) -> dict[str, Array] | None:
    found = _parameters(record.final, run)
    return found if all(np.isfinite(values).all() for values in found.values()) else None


def _warnings(problem: DescentProblem, record: Record) -> list[str]:
    first = record.first_non_finite["loss"]
    if (first == 0).all():
        return [f"every run starts with a loss that is not finite in {problem.dtype}: nothing is learnt"]
    return []
