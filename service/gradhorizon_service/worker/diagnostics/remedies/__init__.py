"""Remedies: which change moves the horizon, because it was run on the same inputs and depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...problem import Problem
from ...runs import Run
from ..state_norms import SMALL_ENTRIES
from ._gated import as_requested, numbers_in
from ._remedy import MOST_STEPS, Change, Effect, Remedy, Subject, Trial, effect_of_run
from .clipping import clipping
from .forget_bias import forget_bias
from .gru import gru
from .leak import leak
from .lstm import lstm
from .orthogonalise import orthogonalise
from .rescale import rescale
from .residual import residual
from .skip import skip
from .truncation import truncation

REMEDIES: Mapping[str, Remedy] = {
    "rescale": rescale,
    "orthogonalise": orthogonalise,
    "leak": leak,
    "skip": skip,
    "residual": residual,
    "lstm": lstm,
    "gru": gru,
    "forget_bias": forget_bias,
    "truncation": truncation,
    "clipping": clipping,
}
"""Name in a report -> its row."""


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """One remedy as it was run: what to change, and the horizon and growth before and after.

    `log10_growth` is the change of the median gradient over the whole depth in decades; `rank` 1 reaches farthest, and
    remedies that do equally well share a rank. `network` is the one that was drawn for it, as a request names it.
    """

    name: str
    rank: int
    change: Change
    network: Mapping[str, Any] | None
    network_reason: str | None
    horizon_before: int | None
    horizon_after: int | None
    censored_before: bool
    censored_after: bool
    log10_growth_before: float
    log10_growth_after: float
    log10_growth_after_reason: str | None
    decades_per_step_before: float | None
    decades_per_step_before_reason: str | None
    decades_per_step_after: float | None
    decades_per_step_after_reason: str | None
    update_factor: float | None
    update_factor_reason: str | None
    runs: int
    says: str
    cost: str


@dataclass(frozen=True)
class NotRun:
    """A remedy that was not run, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Remedies:
    """Every remedy that was run, the one that reaches farthest first, and those that were not."""

    counterfactuals: list[Counterfactual]
    not_run: list[NotRun]
    says: str


def without_network(problem: Problem) -> str | None:
    """Why there is nothing to change."""
    if problem.network.kind.has_states:
        return None
    return "step Jacobians come without a network that could be changed"


def remedies(run: Run) -> Remedies:
    """Run every remedy that fits the network, each with a search for its number, and rank them by horizon."""
    subject = Subject(run.problem, effect_of_run(run))
    reasons = {name: _reason(row, subject) for name, row in REMEDIES.items()}
    found = {name: row.search(subject) for name, row in REMEDIES.items() if reasons[name] is None}
    order = sorted(found, key=lambda name: _merit(found[name][0].effect), reverse=True)
    merits = [_merit(found[name][0].effect) for name in order]
    return Remedies(
        [
            _counterfactual(name, 1 + merits.index(merit), subject, *found[name])
            for name, merit in zip(order, merits, strict=True)
        ],
        [NotRun(name, reason) for name, reason in reasons.items() if reason is not None],
        _summary(subject, order, found),
    )


def _reason(remedy: Remedy, subject: Subject) -> str | None:
    if np.isnan(subject.before.log10_growth):
        return "there is no gradient to carry: it is exactly zero from the start"
    if remedy.is_mildest and np.isinf(subject.before.reach):
        return "no change is needed: the gradient stays within its level all the way back as it is"
    return remedy.not_applicable(subject.problem)


def _merit(effect: Effect) -> tuple[float, float]:
    """Reach first; of those that reach all the way, the one whose gradient changes least."""
    growth = abs(effect.log10_growth) if np.isfinite(effect.log10_growth) else np.inf
    return effect.reach, -round(growth, 6) if np.isinf(effect.reach) else 0.0


def _counterfactual(name: str, rank: int, subject: Subject, trial: Trial, runs: int) -> Counterfactual:
    before, after = subject.before, trial.effect
    shrinks = np.isneginf(after.log10_growth)
    factor = trial.update_factor
    reason = _network_reason(trial, subject)
    return Counterfactual(
        name,
        rank,
        trial.change,
        as_requested(trial.drawn) if trial.drawn is not None and reason is None else None,
        reason,
        before.horizon.steps,
        after.horizon.steps,
        before.horizon.censored,
        after.horizon.censored,
        before.log10_growth,
        after.log10_growth,
        _growth_reason(after),
        before.horizon.decades_per_step,
        before.horizon.decades_per_step_reason,
        after.horizon.decades_per_step,
        after.horizon.decades_per_step_reason,
        factor,
        None if factor is not None else _update_reason(name),
        runs,
        _says(name, trial, subject) + (" (it ends at exactly zero)" if shrinks else ""),
        REMEDIES[name].costs,
    )


def _network_reason(trial: Trial, subject: Subject) -> str | None:
    if trial.drawn is None:
        return "it is the network of the request with what `change` says"
    numbers = numbers_in(trial.drawn)
    if numbers > SMALL_ENTRIES and "remedy_networks" not in subject.problem.include:
        return (
            f"its biases are {numbers} numbers, more than {SMALL_ENTRIES}; ask for them with "
            'include: ["remedy_networks"]'
        )
    return None


def _growth_reason(after: Effect) -> str | None:
    if not np.isnan(after.log10_growth):
        return None
    if after.diverged:
        return "the changed network does not run: its forward state leaves float64 before there is a gradient"
    return "the gradient is exactly zero before it is carried back"


def _update_reason(name: str) -> str:
    if name in ("truncation", "clipping"):
        return "the gradient of the parameters is zero before, or not finite after"
    return "the changed network has other parameters, whose gradients do not compare"


def _says(name: str, trial: Trial, subject: Subject) -> str:
    what = ", ".join(f"{key} {_shown(value)}" for key, value in trial.change.items())
    before, after = _steps(subject.before, subject.depth), _steps(trial.effect, subject.depth)
    if trial.effect.diverged:
        return f"with {what} the forward state leaves float64: this change does not run"
    if REMEDIES[name].is_mildest and trial.effect.horizon.steps is not None:
        return (
            f"of the numbers that were tried none carries the gradient all the way; with {what} it gets farthest, the "
            f"horizon moves from {before} to {after}"
        )
    if before == after:
        return f"with {what} the horizon stays where it was, {before}"
    return f"with {what} the horizon moves from {before} to {after}"


def _steps(effect: Effect, depth: int) -> str:
    steps = effect.horizon.steps
    if steps is None:
        return f"beyond all {depth} steps" if effect.horizon.censored else "nowhere"
    return f"{steps} step" + ("" if steps == 1 else "s")


def _shown(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _summary(subject: Subject, order: list[str], found: Mapping[str, tuple[Trial, int]]) -> str:
    if not order:
        return "no remedy fits this network, or there is no gradient to carry"
    if np.isinf(subject.before.reach):
        return (
            f"the given gradient stays within its level over all {subject.depth} steps already; the changes that keep "
            "it nearest to its size come first"
        )
    best = order[0]
    if found[best][0].effect.reach <= subject.before.reach:
        return "none of the changes that were run moves the horizon"
    return f"{best} moves the horizon farthest: {_says(best, found[best][0], subject)}"


__all__ = ["MOST_STEPS", "REMEDIES", "Counterfactual", "NotRun", "Remedies", "remedies", "without_network"]
