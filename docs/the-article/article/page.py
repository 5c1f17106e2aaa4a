"""The page from its template and the answers: nothing else decides what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gradhorizon_service.claims import CLAIMS

Answers = Mapping[str, Mapping[str, Any]]

NUMBER = re.compile(r"\{\{([a-z0-9-]+)\.(parameters\.)?([a-z0-9_]+)(?::([^{}]+))?\}\}")
"""{{question.number}}, {{question.number:.3g}} or {{claim.parameters.name}}."""

CLAIM = re.compile(r"^\{\{claim ([a-z-]+)\}\}$", re.MULTILINE)
TABLE = "{{claims}}"
PICTURES_OF_CLAIMS = "../claims"
"""Where the page finds them: docs/claims.md shows the same ones."""
NOTE = "<!-- Written by scripts/the-article from page.md and results.json: change page.md, and run it again. -->\n\n"
_VERDICTS = {"holds": "holds", "holds_partly": "holds partly", "fails": "fails"}
_RELATIONS = {"at_least": "at least", "at_most": "at most"}


def render(template: str, answers: Answers) -> str:
    """Fill the template. Raises KeyError where it names what no answer holds."""
    text = template.replace(TABLE, _table(answers))
    text = CLAIM.sub(lambda found: _claim(found[1], answers[found[1]]), text)
    text = NUMBER.sub(lambda found: _number(answers, found), text)
    if "{{" in text:
        raise KeyError(text[text.index("{{") :].split("\n")[0])
    return NOTE + text


def _number(answers: Answers, found: re.Match[str]) -> str:
    name, parameters, key, spec = found.groups()
    value = answers[name]["parameters" if parameters else "numbers"][key]
    if value is None:
        raise KeyError(f"{name}.{key} has no value")
    return written(value, spec or "")


def written(value: Any, spec: str) -> str:
    """Return a number as Python formats it, with exponents as one writes them: 5.36e9, not 5.36e+09."""
    if value is None:
        return "not to be had"
    if isinstance(value, float) and not spec:
        spec = ".4g"
    text = format(value, spec)
    return re.sub(r"e([+-])0*(\d+)$", lambda e: "e" + e[1].strip("+") + e[2], text)


def _table(answers: Answers) -> str:
    rows = [
        f"| [{name}](#{name}) | **{_VERDICTS[answers[name]['verdict']]}** | {answers[name]['sentence']} |"
        for name in CLAIMS
    ]
    return "\n".join(["| claim | verdict | sentence |", "|---|---|---|", *rows])


def _claim(name: str, answer: Mapping[str, Any]) -> str:
    """The sentence as it was judged, what decides and what was found, and the picture."""
    when = f", {answer['when']}" if answer["when"] else ""
    rows = [
        f"| {condition['says']} | {written(answer['numbers'][condition['quantity']], '.4g')} "
        f"| {_RELATIONS[condition['relation']]} {written(condition['threshold'], '.4g')} "
        f"| {'yes' if condition['met'] else 'no'} |"
        for condition in answer["conditions"]
    ]
    return "\n".join(
        [
            f'<a id="{name}"></a>',
            "",
            f"> {answer['sentence']}",
            "",
            f"The claim `{name}` **{_VERDICTS[answer['verdict']]}**{when}. *Criterion*: {answer['criterion']}",
            "",
            "| condition | measured | asked for | met |",
            "|---|---|---|---|",
            *rows,
            "",
            f"![{name}]({PICTURES_OF_CLAIMS}/{name}.svg)",
        ]
    )
