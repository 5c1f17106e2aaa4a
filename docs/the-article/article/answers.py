"""Ask every question of the page through the public client, and keep what the page needs of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradhorizon import Client

from .questions import Question

DIGITS = 6
"""Significant digits that are kept: enough for the page, and the same from one machine to the next."""

METHODS: Mapping[str, Callable[[Client, Mapping[str, Any]], Any]] = {
    "/v1/diagnoses": lambda gh, body: gh.diagnose(**body),
    "/v1/comparisons": lambda gh, body: gh.compare(**body),
    "/v1/descents": lambda gh, body: gh.descend(**body),
    "/v1/mean-fields": lambda gh, body: gh.mean_field(**body),
}
"""Address -> how the client asks there; claims are asked for by their names."""

Answer = dict[str, Any]


def ask(gh: Client, question: Question) -> Any:
    """Return the report that answers a question."""
    if question.claim is not None:
        return gh.claim(question.claim, **question.body)
    return METHODS[question.path](gh, question.body)


def kept(question: Question, report: Any) -> Answer:
    """Return what the page needs of a report; of a claim, with its judgement."""
    numbers = {name: _rounded(value) for name, value in question.read(report).items()}
    asked = {"id": report.id, "path": question.path, "body": question.body}
    return {**asked, **(_judgement(report) if question.claim else {}), "numbers": numbers}


def _judgement(report: Any) -> Answer:
    return {
        "sentence": report.sentence,
        "criterion": report.criterion.says,
        "parameters": report.parameters,
        "verdict": report.verdict,
        "reason": report.reason,
        "when": report.when,
        "conditions": [
            {
                "quantity": number.quantity,
                "says": number.says,
                "relation": number.relation,
                "threshold": number.threshold,
                "met": number.met,
            }
            for number in report.numbers
            if number.met is not None
        ],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, (str, bool, int, type(None))):
        return value
    number = float(value)
    if not np.isfinite(number):
        return None
    return float(f"{number:.{DIGITS}g}")


def picture(gh: Client, question: Question, report: Any) -> bytes:
    """Return the chart of an answer as SVG."""
    return gh.chart(report, question.chart)
