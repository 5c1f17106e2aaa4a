"""Verdicts from constructed numbers."""

from __future__ import annotations

import math

import pytest

from gradhorizon_service.claims import depth_ten
from gradhorizon_service.claims._judgement import Judgement, Number, at_least, at_most, fact, judge


def verdict(*numbers: Number) -> Judgement:
    return judge(numbers, partly="sometimes", points=[])


MET = at_least("a", 2.0, 1.0, "a")
MISSED = at_least("b", 0.5, 1.0, "b")
MINOR = at_most("c", 2.0, 1.0, "c", essential=False)


def test_a_claim_holds_when_every_condition_is_met() -> None:
    assert verdict(MET, fact("f", -5.0, "f")).verdict == "holds"


def test_a_claim_fails_with_one_essential_condition() -> None:
    found = verdict(MET, MISSED, MINOR)
    assert (found.verdict, found.when) == ("fails", None)
    assert found.reason == "b: 0.5, where at least 1 was asked for; c: 2, where at most 1 was asked for"


def test_a_claim_holds_partly_without_one_of_the_others() -> None:
    found = verdict(MET, MINOR)
    assert (found.verdict, found.when) == ("holds_partly", "sometimes")


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_could_not_be_measured_is_not_met_and_says_why(value: float | None) -> None:
    number = at_most("a", value, 1e300, "a", why="nothing was left")
    assert (number.value, number.met, number.value_reason) == (None, False, "nothing was left")
    assert "nothing was left, where at most" in verdict(number).reason


def test_thresholds_themselves_are_met() -> None:
    assert at_least("a", 1.0, 1.0, "a").met
    assert at_most("a", 1.0, 1.0, "a").met
    assert fact("a", 1.0, "a").met is None


LENGTHS = (2, 5, 10, 20)


def counts(vanilla: list[int], lstm: list[int]) -> dict[tuple[str, int], int]:
    found = {(depth_ten.VANILLA, length): count for length, count in zip(LENGTHS, vanilla, strict=True)}
    return {**found, **{(depth_ten.LSTM, length): count for length, count in zip(LENGTHS, lstm, strict=True)}}


@pytest.mark.parametrize(
    ("vanilla", "lstm", "expected"),
    [
        ([20, 20, 0, 0], [20, 20, 8, 0], "holds"),
        ([20, 20, 1, 0], [20, 20, 8, 0], "holds"),  # 95 % of 20 runs is all but one
        ([20, 20, 2, 0], [20, 20, 8, 0], "holds_partly"),
        ([20, 20, 0, 0], [20, 20, 3, 0], "holds_partly"),  # the LSTM does little better
        ([20, 20, 15, 2], [20, 20, 20, 20], "fails"),  # most still learn twenty steps
        ([10, 0, 0, 0], [20, 20, 20, 20], "fails"),  # two steps are not learnt either: not a matter of length
    ],
)
def test_depth_ten_is_judged_by_how_many_runs_succeed(
    vanilla: list[int], lstm: list[int], expected: str
) -> None:
    found = depth_ten.judge_counts(depth_ten.Parameters(), counts(vanilla, lstm))
    assert found.verdict == expected, found.reason


def test_interval_of_a_rate_is_wilsons() -> None:
    """The ends solve (p - r)^2 = z^2 p (1 - p) / n."""
    n, count, z = 20, 18, 1.959963984540054
    for p in depth_ten.wilson(count, n):
        assert (p - count / n) ** 2 == pytest.approx(z**2 * p * (1 - p) / n)
    assert depth_ten.wilson(0, 20)[0] == pytest.approx(0.0, abs=1e-12)
    assert depth_ten.wilson(20, 20)[1] == pytest.approx(1.0)
