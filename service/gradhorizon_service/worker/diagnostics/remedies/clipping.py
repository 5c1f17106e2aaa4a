"""Clipping by the request's policy, or by a norm of one: what it does to the step, and to the horizon."""

from __future__ import annotations

from dataclasses import replace

from ... import runs
from ...clipping import ClippingPolicy
from ...problem import Problem
from ..clipping import clipping as clipping_effect
from ..clipping import without_policy
from ._remedy import Change, Remedy, Subject, Trial, effect_of_run

_USUAL = ClippingPolicy("norm", 1.0, 2.0, "torch")


def _with_policy(problem: Problem) -> Problem:
    return problem if problem.clipping is not None else replace(problem, clipping=_USUAL)


def _not_applicable(problem: Problem) -> str | None:
    return without_policy(_with_policy(problem))


def _search(subject: Subject) -> tuple[Trial, int]:
    problem = _with_policy(subject.problem)
    policy = problem.clipping
    assert policy is not None
    run = runs.start(problem)
    found = clipping_effect(run)
    change: Change = {"kind": policy.kind, "threshold": policy.threshold}
    if policy.framework is not None:
        change = {**change, "framework": policy.framework}
    return Trial(change, effect_of_run(run, clipped=True), found.factor), 1


clipping = Remedy(
    _not_applicable,
    _search,
    "clipping by norm shortens the step and moves no horizon: every lag shrinks alike; clipping by value turns the "
    "gradient, and cutting the state gradient at every step only bounds an explosion",
)
