"""How a run ended: data, not an exception."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """kind completed or diverged, the steps completed, and a sentence of advice."""

    kind: str
    steps_completed: int
    advice: str | None


def outcome_of(steps: int, asked: int) -> Outcome:
    """The outcome of a forward pass that completed `steps` of `asked`."""
    if steps == asked:
        return Outcome("completed", steps, None)
    return Outcome(
        "diverged",
        steps,
        f"the forward state, or the loss of it, left float64 at step {steps + 1} of {asked}: rescale the weights, "
        "or use a bounded activation; the report covers the steps before, with the loss applied at the last of them",
    )
