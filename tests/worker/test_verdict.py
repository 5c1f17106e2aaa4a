"""One word for what happens to gradients: each status, the order they are tried in, and what stands beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import Array, CellCase, linear, problem
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.entry import diagnose
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.verdict import Verdict

NONNORMAL = 0.9 * np.eye(10) + 1.5 * np.diag(np.ones(9), 1)
"""Spectral radius 0.9, yet norm(W^k) peaks at 5e9."""


def rnn(weights: Array, activation: str, start: Array, depth: int) -> Problem:
    network = CellCase("rnn", {"weights": weights, "activation": activation}).network()
    return problem(network, depth, initial_state=GivenState(start))


PROBLEMS: dict[str, tuple[Problem, str]] = {
    "doubling": (linear(2.0 * np.eye(3), 10), "exploding"),
    "just below a thousand": (linear(2.0 * np.eye(3), 9), "stable"),
    "exactly a thousand": (linear(10.0 * np.eye(2), 3), "exploding"),
    "halving": (linear(0.5 * np.eye(3), 10), "vanishing"),
    "exactly a thousandth": (linear(0.1 * np.eye(2), 3), "vanishing"),
    "just above a thousandth": (linear(0.5 * np.eye(3), 9), "stable"),
    "rotation": (linear(np.array([[0.6, -0.8], [0.8, 0.6]]), 10**6), "stable"),
    "one direction of three": (linear(np.diag([1.0, 1e-9, 1e-9]), 10), "stable"),
    "transient that vanishes": (linear(NONNORMAL, 600), "transient"),
    "transient on its way": (linear(NONNORMAL, 300), "exploding"),
    "dead for good": (linear(np.diag([1.0, 1.0], 1), 3), "dead"),
    "dead after a peak": (linear(np.diag([1e6, 1e6], 1), 3), "dead"),
    "dead relus": (rnn(np.eye(2), "relu", -np.ones(2), 5), "dead"),
    "saturated tanh": (rnn(np.eye(1), "tanh", np.array([20.0]), 1), "vanishing"),
    "diverged": (rnn(10.0 * np.eye(2), "relu", np.ones(2), 400), "diverged"),
    "linear states may grow for ever": (linear(10.0 * np.eye(2), 10**5), "exploding"),
}


def verdict_of(found: Problem) -> Verdict:
    return diagnose(found).verdict


@pytest.mark.parametrize("accurate", [False, True], ids=["coarse", "accurate"])
@pytest.mark.parametrize(("chosen", "status"), PROBLEMS.values(), ids=PROBLEMS)
def test_the_status_of_a_problem(chosen: Problem, status: str, accurate: bool) -> None:
    """The same word, whether or not the accurate singular values were asked for."""
    assert verdict_of(replace(chosen, diagnostics=("singular_values",) if accurate else ())).status == status


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_summary_opens_with_the_status(name: str) -> None:
    found = verdict_of(PROBLEMS[name][0])
    assert found.summary.startswith(found.status.capitalize())
    assert found.summary.endswith(".")


@pytest.mark.parametrize("name", PROBLEMS)
def test_evidence_is_finite_or_nothing(name: str) -> None:
    for item in verdict_of(PROBLEMS[name][0]).evidence:
        assert item.value is None or np.isfinite(item.value)
        assert np.isfinite(item.threshold)


def test_a_tolerance_moves_the_thresholds() -> None:
    assert verdict_of(linear(2.0 * np.eye(3), 9, tolerance_decades=2.0)).status == "exploding"


def test_a_diverged_run_says_what_its_steps_were() -> None:
    found = verdict_of(PROBLEMS["diverged"][0])
    assert found.status_of_completed_steps == "exploding"
    assert "308 of 400" in found.summary


def test_a_completed_run_has_no_second_status() -> None:
    assert verdict_of(PROBLEMS["doubling"][0]).status_of_completed_steps is None


def test_most_directions_may_vanish_while_one_explodes() -> None:
    found = verdict_of(linear(np.diag([2.0, 0.5, 0.5]), 12))
    assert found.status == "exploding"
    assert found.directions_vanish
    assert "Most directions vanish" in found.summary


def test_directions_do_not_vanish_where_the_median_stays() -> None:
    assert not verdict_of(linear(np.diag([1.0, 1.0, 1e-9]), 12)).directions_vanish


def test_directions_vanish_by_the_median_of_four() -> None:
    """The mean of the two middle ones, in decades: (0 - 6) / 2 is at the threshold."""
    found = verdict_of(linear(np.diag([1.0, 1.0, 1e-6, 1e-6]), 1))
    assert (found.status, found.directions_vanish) == ("stable", True)


def test_a_chain_through_a_narrow_layer_is_judged_the_same_either_way() -> None:
    layers = [np.eye(2, 8), np.eye(8, 2)]
    wide = problem(CellCase("feedforward", {"layers": layers}, depth=2, size=8, outputs=8).network(), 2,
                   initial_state=GivenState(np.ones(8)))  # fmt: skip
    coarse, accurate = verdict_of(wide), verdict_of(replace(wide, diagnostics=("singular_values",)))
    assert coarse.directions_vanish == accurate.directions_vanish
    assert coarse.status == accurate.status == "stable"


@pytest.mark.parametrize(
    ("cotangent", "status"), [([1.0, 0.0], "exploding"), ([0.0, 1.0], "vanishing"), ([0.0, 0.0], "dead")]
)
def test_the_given_cotangent_has_a_status_of_its_own(cotangent: list[float], status: str) -> None:
    found = verdict_of(linear(np.diag([2.0, 0.5]), 12, loss=CotangentLoss(np.array(cotangent))))
    assert (found.status, found.given_cotangent) == ("exploding", status)


def test_a_cotangent_that_dies_on_the_way_is_dead() -> None:
    found = verdict_of(linear(np.diag([1.0, 0.0]), 5, loss=CotangentLoss(np.array([0.0, 1.0]))))
    assert (found.status, found.given_cotangent) == ("stable", "dead")


def test_a_given_cotangent_may_be_transient() -> None:
    found = verdict_of(linear(NONNORMAL, 600, loss=CotangentLoss(np.eye(10)[0])))
    assert found.given_cotangent == "transient"


def test_the_evidence_of_a_transient_is_the_peak_and_its_lag() -> None:
    """5.36e9 at k = 89, from an extended-precision product."""
    evidence = {item.quantity: item for item in verdict_of(PROBLEMS["transient that vanishes"][0]).evidence}
    assert evidence["log10_peak_transport_norm"].value == pytest.approx(np.log10(5.3608e9), abs=1e-3)
    assert "lag 89" in evidence["log10_peak_transport_norm"].says


def test_the_status_is_that_of_the_median_sequence() -> None:
    """Two of three sequences have dead units; the third passes the gradient on."""
    network = CellCase("rnn", {"weights": np.eye(1), "activation": "relu"}).network()
    start = GivenState(np.array([[-1.0], [-1.0], [1.0]]))
    assert verdict_of(problem(network, 3, initial_state=start, batch=3)).status == "dead"
    start = GivenState(np.array([[-1.0], [1.0], [1.0]]))
    assert verdict_of(problem(network, 3, initial_state=start, batch=3)).status == "stable"


def test_a_median_that_one_product_does_not_resolve_is_given_as_a_bound() -> None:
    """The median lies 3000 decades down, where a product of float64 holds rounding errors, or zeros."""
    chosen = linear(np.diag([1.0, 0.1, 0.1]), 3000)
    coarse, accurate = (verdict_of(replace(chosen, diagnostics=d)) for d in ((), ("singular_values",)))
    assert coarse.directions_vanish
    assert accurate.directions_vanish
    bound, exact = coarse.evidence[2], accurate.evidence[2]
    assert exact.value == pytest.approx(-3000.0)
    assert "upper bound" not in exact.says
    assert "upper bound" in bound.says
    assert bound.value is not None
    assert exact.value is not None
    assert exact.value <= bound.value <= -10.0


def test_evidence_agrees_where_one_product_resolves_it() -> None:
    chosen = linear(np.diag([1.0, 0.9, 0.8]), 40)
    coarse, accurate = (
        verdict_of(replace(chosen, diagnostics=d)).evidence for d in ((), ("singular_values",))
    )
    for left, right in zip(coarse, accurate, strict=True):
        assert left.value == pytest.approx(right.value, rel=1e-9, abs=1e-12)


def test_a_level_below_float64_has_an_inverse_in_words() -> None:
    asked = replace(linear(np.array([[0.5]]), 10), horizon_level=5e-324)
    assert "within a factor of 10^323.3" in diagnose(asked).verdict.summary
