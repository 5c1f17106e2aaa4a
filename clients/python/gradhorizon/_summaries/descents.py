"""What a person wants to see of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import Row, Section, Summary, decades, number, origin

if TYPE_CHECKING:
    from ..schemas import Descent
    from ..schemas.descents import PolicyDescent, StepBack

ROWS = 12
"""Steps shown of a course, and runs shown; the report itself holds them all."""


def summarize_descent(report: Descent) -> Summary:
    """Return a row for each policy, the updates that undid most, and the course of the loss."""
    first = report.policies[0]
    return Summary(
        status=f"{report.task}, {report.cell}",
        headline=f"{first.name}: {first.says}" if len(report.policies) > 1 else first.says,
        sections=(
            _policies(report),
            *((back,) if (back := _steps_back(report)) is not None else ()),
            *(_course(policy) for policy in report.policies),
        ),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def _policies(report: Descent) -> Section:
    rows = tuple(
        (
            policy.name,
            f"{policy.solved} of {policy.runs}",
            _final(policy),
            str(policy.clip_events),
            f"{policy.runs_undone} of {policy.runs}",
            f"{policy.non_finite_runs} of {policy.runs}",
        )
        for policy in report.policies
    )
    columns = ("policy", "solved", "median loss at the end", "clip events", "undone", "not finite")
    notes = (
        f"solved: {report.score.says}, {report.score.threshold:.4g}",
        "undone: one update undid 90 % of the progress or more",
        *(f"{policy.name}: {policy.says}" for policy in report.policies[1:]),
    )
    return Section(f"{report.steps} steps in {report.dtype}", columns, rows, notes)


def _final(policy: PolicyDescent) -> str:
    return number(policy.course.loss[-1]) if len(policy.course.loss) else "undefined"


def _steps_back(report: Descent) -> Section | None:
    place = {seed: place for place, seed in enumerate(report.seeds)}
    found = [
        (run.policy, place[run.seed], back) for run in report.runs if (back := run.step_back) is not None
    ]
    if not found:
        return None
    found.sort(key=lambda row: -(row[2].progress_lost or 0.0))
    rows = tuple(_step_back(policy, place, back) for policy, place, back in found[:ROWS])
    columns = ("policy, run", "update", "progress lost", "loss", "gradient, log10", "stable rate")
    return Section("Updates that undid most", columns, rows)


def _step_back(policy: str, place: int, back: StepBack) -> Row:
    return (
        f"{policy}, {place}",
        str(back.step),
        number(back.progress_lost),
        f"{number(back.loss_before)} -> {number(back.loss_after)}",
        decades(back.log10_gradient_norm),
        number(back.stable_learning_rate),
    )


def _course(policy: PolicyDescent) -> Section:
    course = policy.course
    count = len(course.step)
    shown = sorted({round(i * (count - 1) / (ROWS - 1)) for i in range(ROWS)}) if count else []
    rows = tuple(
        (
            str(course.step[i]),
            number(course.loss[i]),
            decades(course.log10_gradient_norm[i]),
            decades(course.log10_parameter_norm[i]),
        )
        for i in shown
    )
    columns = ("step", "loss", "gradient, log10", "parameters, log10")
    return Section(f"Course of {policy.name}, medians", columns, rows)
