"""Every claim runs, and can hold, hold partly or fail: the verdict follows the parameters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest

from gradhorizon.schemas import Claim
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.analysis.errors import CostOverLimit, LimitExceeded
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import OPERATIONS, run_inline
from gradhorizon_service.claims import CHARTS, CLAIMS, list_claims, offers

CHAIN = {"chain_size": 2, "chain_coupling": 1.0}
DRAWS = {"draws": 3, "depth": 60, "batch": 1}
RESERVOIR = {**DRAWS, "depth": 100}
SKIP = {**DRAWS, "size": 8}
GAINS = {"size": 16, "depth": 60, "batch": 1}
SHARING = {"size": 32, "depth": 40, "draws": 8}
CLIFF = {"runs": 2, "steps": 40, "cliff_steps": 100}
LINEAR = {"runs": 6, "steps": 60}
LATCH = {"runs": 3, "steps": 40, "cliff_steps": 100}
SHORT = {"lengths": [2], "depth": 2, "steps": 40}
CLOSE_TO_ONE = [0.99, 0.98, 0.97, 0.96, 0.95]

VERDICTS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "eigenvalue-growth": [
        ({}, "holds"),
        ({"condition": 1e4}, "holds_partly"),
        ({"condition": 1e8, "eigenvalues": CLOSE_TO_ONE, "depths": [20]}, "fails"),
        ({"eigenvalues": [-1.1, -0.9, 0.5]}, "holds"),
    ],
    "dominant-direction": [
        (CHAIN, "holds"),
        ({}, "holds_partly"),
        ({"eigenvalues": [1.2, -1.2, 0.5]}, "fails"),
        ({"steps": [1, 5]}, "fails"),
    ],
    "overshoot": [
        (CLIFF, "holds"),
        ({**CLIFF, "cliff_threshold": 0.1}, "holds_partly"),
        ({**CLIFF, "learning_rate": 1e-4}, "fails"),
        ({**CLIFF, "cliff_learning_rate": 0.01}, "fails"),
    ],
    "nan-parameters": [
        (LINEAR, "holds"),
        ({**LINEAR, "threshold": 1e6}, "holds_partly"),
        ({**LINEAR, "learning_rate": 1e-4}, "fails"),
    ],
    "not-the-sigmoid": [
        ({**GAINS, "gains": [0.5, 2.0]}, "holds_partly"),
        ({**GAINS, "gains": [0.5, 0.6]}, "fails"),
    ],
    "small-at-a-minimum": [
        ({"steps": 800}, "holds"),
        ({"steps": 800, "shrink": 1.0}, "holds_partly"),
        ({"steps": 5}, "fails"),
    ],
    "unshared-is-easy": [
        (SHARING, "holds"),
        ({**SHARING, "depth": 4}, "holds_partly"),
        ({**SHARING, "total_variance": 1e-8}, "fails"),
        ({**SHARING, "size": 1}, "fails"),
    ],
    "depth-ten": [({"lengths": [2, 24], "depth": 24, "steps": 40}, "holds_partly"), (SHORT, "fails")],
    "clipping-symptom": [
        (LATCH, "holds"),
        ({**LATCH, "threshold": 1e6}, "fails"),
        ({**LATCH, "cliff_learning_rate": 0.01}, "fails"),
    ],
    "echo-state": [(RESERVOIR, "holds"), ({**RESERVOIR, "spectral_radius": 0.4}, "fails")],
    "leaky-units": [
        (DRAWS, "holds"),
        ({**DRAWS, "leak_rate": 0.7}, "holds_partly"),
        ({**DRAWS, "leak_rate": 1.0}, "fails"),
    ],
    "skip-connections": [(SKIP, "holds"), ({**SKIP, "skip_gain": 0.01}, "fails")],
    "lstm": [(DRAWS, "holds"), ({**DRAWS, "forget_bias": -1.0}, "fails")],
}
RUNS = {
    f"{name} {verdict} with {', '.join(changed) or 'nothing changed'}": (name, changed, verdict)
    for name, runs in VERDICTS.items()
    for changed, verdict in runs
}
LIMITS, COSTS = Limits(), Costs()


def run(name: str, **changed: Any) -> Claim:
    claim = CLAIMS[name]
    report = run_inline(claim.prepare(claim.parameters(**changed), LIMITS, COSTS))
    assert isinstance(report, Claim)
    return report


def number(report: Claim, quantity: str) -> Any:
    return next(found for found in report.numbers if found.quantity == quantity).value


def test_every_claim_is_put_to_the_test_here() -> None:
    assert set(VERDICTS) == set(CLAIMS)
    assert all("fails" in {verdict for _, verdict in runs} for runs in VERDICTS.values())


@pytest.mark.parametrize(("name", "changed", "verdict"), RUNS.values(), ids=RUNS)
def test_verdict_follows_the_parameters(name: str, changed: dict[str, Any], verdict: str) -> None:
    report = run(name, **changed)
    assert report.verdict == verdict, report.reason
    assert (report.when is not None) == (verdict == "holds_partly")
    assert orjson.loads(encode(report))["verdict"] == verdict
    assert CHARTS[name].draw(CHARTS[name].reads.model_validate(report)) == report.chart
    conditions = {found.quantity: found.threshold for found in report.numbers if found.threshold is not None}
    assert conditions == dict(report.criterion.thresholds)


@pytest.mark.parametrize("name", CLAIMS)
def test_default_setting_is_estimated_within_the_synchronous_limit(name: str) -> None:
    task = CLAIMS[name].prepare(CLAIMS[name].parameters(), LIMITS, COSTS)
    assert task.estimated_seconds < LIMITS.sync_seconds
    assert task.id == CLAIMS[name].prepare(CLAIMS[name].parameters(), LIMITS, COSTS).id
    assert task.id != CLAIMS[name].prepare(CLAIMS[name].parameters(seed=1), LIMITS, COSTS).id


@pytest.mark.parametrize("name", ["eigenvalue-growth", "unshared-is-easy", "nan-parameters"])
def test_the_listed_requests_give_the_same_verdict_when_sent_one_by_one(name: str) -> None:
    """They are public requests, and the judgement is a function of their answers alone."""
    changed = VERDICTS[name][0][0]
    report, claim = run(name, **changed), CLAIMS[name]
    answers = {asked.name: sent(asked.path, asked.body) for asked in report.requests}
    again = claim.judge(claim.parameters(**changed), answers)
    assert again.verdict == report.verdict
    assert [found.value for found in again.numbers] == [found.value for found in report.numbers]
    assert list(again.points) == report.points


def sent(path: str, body: dict[str, Any]) -> Any:
    operation = OPERATIONS[path]
    request = read_request(operation.request, orjson.loads(orjson.dumps(body)), {})
    return run_inline(operation.prepare(request, LIMITS, COSTS))


def test_a_request_that_an_earlier_answer_completes_gives_what_the_claim_measured() -> None:
    """Networks after training are diagnosed without leaving the worker; sent by hand they give the same horizon."""
    report = run("clipping-symptom", **LATCH)
    first, later = (next(asked for asked in report.requests if asked.name == n) for n in ("training", LATER))
    assert "network" not in later.body
    assert later.completed_by == {"$.network": "the answer to 'training': $.parameters[4].network"}
    trained = sent(first.path, first.body).parameters[4]
    assert (trained.policy, trained.seed) == ("with clipping", 1)
    diagnosis = sent(later.path, {**later.body, "network": trained.network})
    drawn = [p for p in report.points if (p["policy"], p["seed"]) == ("with clipping", 1)]
    norms = diagnosis.gradient_norms.log10_norm
    assert [p["change"] for p in drawn] == pytest.approx(list(norms - norms[0]), abs=1e-9)


LATER = "trained with clipping, seed 1"


def test_a_claim_over_the_synchronous_limit_is_refused_with_the_estimate() -> None:
    claim = CLAIMS["depth-ten"]
    dear = claim.parameters(runs=40, steps=5000, lengths=[10, 100])
    with pytest.raises(CostOverLimit) as refused:
        claim.prepare(dear, LIMITS, COSTS)
    assert refused.value.limit == "sync_seconds"
    assert refused.value.estimate > LIMITS.sync_seconds


def test_a_refusal_of_a_request_behind_a_claim_names_it() -> None:
    claim = CLAIMS["unshared-is-easy"]
    with pytest.raises(LimitExceeded, match="makes the request 'shared' to /v1/comparisons") as refused:
        claim.prepare(claim.parameters(), Limits(max_size=8), COSTS)
    assert refused.value.limit == "max_size"
    assert refused.value.faults[0].path == "$"


def test_leak_rate_of_one_is_the_plain_recurrence() -> None:
    report = run("leaky-units", **DRAWS, leak_rate=1.0)
    assert number(report, "median_factor") == 1.0
    assert number(report, "changed_horizon") == number(report, "plain_horizon")


def test_symmetric_modes_grow_by_their_eigenvalues_to_rounding() -> None:
    assert number(run("eigenvalue-growth"), "largest_rate_error") < 1e-12


def test_gradient_at_a_minimum_falls_with_the_root_of_the_loss() -> None:
    """dL/dh_T is the residual r and L = |r|^2 / 2: a fall of the loss by d decades is one of d/2 at lag 0."""
    report = run("small-at-a-minimum", steps=800)
    decades = {p["network"]: p["log10_norm"] for p in report.points if p["lag"] == 0}
    for label, loss in (("before training", "first_loss"), ("at the minimum", "final_loss")):
        assert 2 * float(decades[label]) - 0.30103 == pytest.approx(  # type: ignore[arg-type]
            math.log10(number(report, loss)), abs=1e-3
        )


def test_the_list_says_what_can_be_changed_about_every_claim() -> None:
    listed = {claim.name: claim for claim in list_claims().claims}
    assert list(listed) == list(CLAIMS)
    assert listed["depth-ten"].parameters["properties"]["runs"]["minimum"] == 20
    assert listed["leaky-units"].parameters["properties"]["leak_rate"]["default"] == 0.1
    assert {offer.name for offer in offers()} == set(CLAIMS)
    assert all(claim.sentence.endswith(".") for claim in listed.values())


PAGE = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_documented_with_its_sentence_and_its_picture(name: str) -> None:
    section = PAGE[PAGE.index(f"\n## {name}: ") :].split("\n## ")[1]
    assert CLAIMS[name].sentence in " ".join(section.split())
    assert f"](claims/{name}.svg)" in section
    assert (Path(__file__).parents[2] / "docs" / "claims" / f"{name}.svg").is_file()


@pytest.mark.parametrize("name", ["eigenvalue-growth", "dominant-direction", "overshoot", "nan-parameters"])
def test_the_documented_verdict_is_the_one_by_default(name: str) -> None:
    """Of the claims that take a second or two; the others are documented as `gradhorizon claims` finds them."""
    assert f"\n## {name}: {run(name).verdict.replace('_', ' ')}\n" in PAGE
