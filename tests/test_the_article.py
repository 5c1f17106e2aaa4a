"""docs/the-article says what the code would be asked today, and its numbers are those of the answers that are kept.

Running everything again takes a minute, and is left to the command. What is cheap is done here: the ids of all
requests, the page from the answers byte for byte, and some answers once more.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from article.__main__ import picture_of
from article.answers import ask, kept
from article.page import NUMBER, render
from article.questions import QUESTIONS
from gradhorizon import Client
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import OPERATIONS as TASKS
from gradhorizon_service.claims import CLAIMS, list_claims
from gradhorizon_service.claims import OPERATIONS as OF_CLAIMS

FOLDER = Path(__file__).parents[1] / "docs" / "the-article"
STALE = "docs/the-article is not current: run scripts/the-article"
COSTS = Costs(per_flop=1e-11, per_call=1e-6)
"""What a request would cost decides nothing here."""


@pytest.fixture(scope="module")
def template() -> str:
    return (FOLDER / "page.md").read_text("utf-8")


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "results.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return (FOLDER / "README.md").read_text("utf-8")


def test_page_is_the_template_filled_with_the_answers(
    template: str, answers: dict[str, Any], page: str
) -> None:
    assert render(template, answers) == page, f"{STALE} --page"


def test_page_changes_with_every_number_it_shows(template: str, answers: dict[str, Any], page: str) -> None:
    shown = {(name, key) for name, parameters, key, _ in NUMBER.findall(template) if not parameters}
    assert len(shown) > 80
    for name, key in shown:
        was = answers[name]["numbers"][key]
        numbers = {**answers[name]["numbers"], key: "other" if isinstance(was, str) else 7 * was + 12345}
        changed = {**answers, name: {**answers[name], "numbers": numbers}}
        assert render(template, changed) != page, (name, key)


@pytest.mark.parametrize("name", QUESTIONS)
def test_kept_answer_is_to_the_request_that_would_be_sent_today(name: str, answers: dict[str, Any]) -> None:
    question = QUESTIONS[name]
    operation = {**TASKS, **OF_CLAIMS}[question.path]
    body = json.loads(json.dumps(question.body))
    limits = Limits(sync_seconds=float("inf"))
    task = operation.prepare(read_request(operation.request, body, {}), limits, COSTS)
    assert answers.get(name, {}).get("id") == task.id, STALE
    assert (answers[name]["path"], answers[name]["body"]) == (question.path, body), STALE


def test_answers_are_those_of_the_page_and_no_others(answers: dict[str, Any]) -> None:
    assert list(answers) == list(QUESTIONS), STALE


def test_every_claim_is_on_the_page_with_its_sentence_criterion_and_verdict(
    answers: dict[str, Any], page: str
) -> None:
    for claim in list_claims().claims:
        kept_answer = answers[claim.name]
        assert (kept_answer["sentence"], kept_answer["criterion"]) == (
            claim.sentence,
            claim.criterion.says,
        ), STALE
        thresholds = {
            condition["quantity"]: condition["threshold"] for condition in kept_answer["conditions"]
        }
        assert thresholds == claim.criterion.thresholds, STALE
        verdict = kept_answer["verdict"].replace("_", " ")
        assert f"The claim `{claim.name}` **{verdict}**" in page
        assert f"> {claim.sentence}" in page
        assert f"(../claims/{claim.name}.svg)" in page


def test_kept_verdicts_follow_from_the_kept_numbers(answers: dict[str, Any]) -> None:
    for name in CLAIMS:
        met = []
        for condition in answers[name]["conditions"]:
            value, threshold = answers[name]["numbers"][condition["quantity"]], condition["threshold"]
            holds = value <= threshold if condition["relation"] == "at_most" else value >= threshold
            assert holds == condition["met"], (name, condition["quantity"])
            met.append(holds)
        assert (answers[name]["verdict"] == "holds") == all(met)


@pytest.mark.parametrize(
    "name", ["eigenvalue-growth", "dominant-direction", "transient", "one-step", "three-ends"]
)
def test_asked_again_it_answers_what_the_page_says(name: str, answers: dict[str, Any]) -> None:
    question = QUESTIONS[name]
    with Client.in_process() as gh:
        again = kept(question, ask(gh, question))
    numbers = again.pop("numbers")
    was = answers[name]
    assert numbers.keys() == was["numbers"].keys(), STALE
    for key, value in was["numbers"].items():
        expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=1e-9)
        assert numbers[key] == expected, (STALE, key)
    assert json.loads(json.dumps(again)) == {key: was[key] for key in again}, STALE


def test_every_picture_is_on_the_page_and_there_are_no_others(page: str) -> None:
    drawn = {picture_of(name).resolve() for name, question in QUESTIONS.items() if question.chart}
    shown = {
        (FOLDER / path).resolve() for path in re.findall(r"^!\[[^]]+\]\((.+\.svg)\)$", page, re.MULTILINE)
    }
    assert shown == drawn
    assert set(FOLDER.glob("*.svg")) <= drawn, STALE


@pytest.mark.parametrize("name", CLAIMS)
def test_picture_shows_the_chart_of_the_claim(name: str) -> None:
    title = CLAIMS[name].draw([])["title"]["text"]
    assert title in picture_of(name).read_text("utf-8"), STALE


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    anchors |= set(re.findall(r'<a id="([a-z-]+)">', page))
    for target in re.findall(r"\]\(#([^)]+)\)", page):
        assert target in anchors
    for path in re.findall(r"\]\(([^#)][^)#]*)\)", page):
        assert (FOLDER / path).exists(), path


def test_a_number_that_no_answer_holds_is_refused(answers: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match="no_such"):
        render("{{depth-ten.no_such}}", answers)
    with pytest.raises(KeyError, match="depth-ten"):
        render("{{depth-ten:.2f}}", answers)
