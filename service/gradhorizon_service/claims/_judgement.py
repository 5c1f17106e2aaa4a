"""From measured numbers to a verdict: conditions that were fixed beforehand, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gradhorizon.schemas.claims import ClaimVerdict

Point: TypeAlias = dict[str, bool | int | float | str | None]
Relation = Literal["at_most", "at_least"]


@dataclass(frozen=True)
class Criterion:
    """What will decide: a sentence, and its thresholds by the quantity they bound."""

    says: str
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class Number:
    """A measured quantity, with a threshold where it is a condition; None with a reason where it could not be had."""

    quantity: str
    value: float | None
    says: str
    threshold: float | None = None
    relation: Relation | None = None
    essential: bool | None = None
    value_reason: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the condition holds; what could not be measured is not met, and facts are no conditions."""
        if self.threshold is None:
            return None
        if self.value is None:
            return False
        return self.value <= self.threshold if self.relation == "at_most" else self.value >= self.threshold


@dataclass(frozen=True)
class Judgement:
    """The verdict with its numbers, and the rows of the chart."""

    verdict: ClaimVerdict
    reason: str
    when: str | None
    numbers: tuple[Number, ...]
    points: list[Point] = field(default_factory=list)
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def at_most(
    quantity: str, value: float | None, threshold: float, says: str, *, essential: bool = True, why: str = ""
) -> Number:
    """Return the condition value <= threshold."""
    return _condition(quantity, value, threshold, says, "at_most", essential, why)


def at_least(
    quantity: str, value: float | None, threshold: float, says: str, *, essential: bool = True, why: str = ""
) -> Number:
    """Return the condition value >= threshold."""
    return _condition(quantity, value, threshold, says, "at_least", essential, why)


def fact(quantity: str, value: float | None, says: str, *, why: str = "") -> Number:
    """Return a number that decides nothing and explains something."""
    found, reason = _finite(value, why)
    return Number(quantity, found, says, value_reason=reason)


def _condition(
    quantity: str,
    value: float | None,
    threshold: float,
    says: str,
    relation: Relation,
    essential: bool,
    why: str,
) -> Number:
    found, reason = _finite(value, why)
    return Number(quantity, found, says, threshold, relation, essential, reason)


def _finite(value: float | None, why: str) -> tuple[float | None, str | None]:
    if value is None or not math.isfinite(value):
        return None, why or "it could not be measured in this run"
    return float(value), None


def judge(
    numbers: Sequence[Number],
    *,
    partly: str,
    points: list[Point],
    assumptions: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Judgement:
    """Hold where every condition is met, fail where an essential one is not, and hold partly in between.

    `partly` says when the claim holds in that case.
    """
    missed = [number for number in numbers if number.met is False]
    essential = [number for number in missed if number.essential]
    verdict: ClaimVerdict = "fails" if essential else "holds_partly" if missed else "holds"
    reason = "; ".join(map(_missed, missed)) if missed else "every condition is met"
    when = partly if verdict == "holds_partly" else None
    return Judgement(verdict, reason, when, tuple(numbers), points, tuple(assumptions), tuple(warnings))


def _missed(number: Number) -> str:
    bound = "at most" if number.relation == "at_most" else "at least"
    found = number.value_reason if number.value is None else f"{number.value:.4g}"
    return f"{number.says}: {found}, where {bound} {number.threshold:.4g} was asked for"
