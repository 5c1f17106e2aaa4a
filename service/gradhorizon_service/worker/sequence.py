"""Several computations as one, of which later ones may take up what earlier ones found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .errors import CannotRun


@runtime_checkable
class Deferred(Protocol):
    """A problem that is complete only when earlier results are known."""

    def complete(self, results: Mapping[str, Any]) -> Any:
        """Return the problem; None where nothing is left to compute."""
        ...


@dataclass(frozen=True, eq=False)
class SequenceProblem:
    """By name and in order: a function of `entry.FUNCTIONS`, and its problem or what completes to one."""

    steps: Mapping[str, tuple[str, Any]]


def run_sequence(problem: SequenceProblem, functions: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return the result of every step by its name. Raises CannotRun, which says in which step."""
    results: dict[str, Any] = {}
    for name, (function, given) in problem.steps.items():
        try:
            complete = given.complete(results) if isinstance(given, Deferred) else given
            results[name] = None if complete is None else functions[function](complete)
        except CannotRun as error:
            raise CannotRun("", f"the request '{name}' cannot be run: {error}", error.code) from error
    return results
