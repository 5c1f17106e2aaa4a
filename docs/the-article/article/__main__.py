"""Ask everything again and write the page.

    scripts/the-article           asks, a minute or two, and writes results.json, README.md and the pictures,
                                  those of the claims in docs/claims
    scripts/the-article --page    writes README.md from results.json, after a change of page.md

Run as `python -m article` in docs/the-article, where the project is installed with its service extra.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gradhorizon import Client

from .answers import ask, kept, picture
from .page import PICTURES_OF_CLAIMS, render
from .questions import QUESTIONS

FOLDER = Path(__file__).parents[1]
RESULTS, TEMPLATE, PAGE = FOLDER / "results.json", FOLDER / "page.md", FOLDER / "README.md"
UNLIMITED_SECONDS = 3600.0
"""The page is written by hand and may wait; how long a request is estimated to take depends on the machine."""


def main() -> int:
    """Write the page, after asking everything again unless told not to."""
    parser = argparse.ArgumentParser(description="Ask everything again and write docs/the-article.")
    parser.add_argument("--page", action="store_true", help="only write the page from the answers there are")
    if not parser.parse_args().page:
        _ask_everything()
    PAGE.write_text(render(TEMPLATE.read_text("utf-8"), json.loads(RESULTS.read_text("utf-8"))), "utf-8")
    return 0


def picture_of(name: str) -> Path:
    """Where the picture of an answer lies."""
    return FOLDER / (PICTURES_OF_CLAIMS if QUESTIONS[name].claim else "") / f"{name}.svg"


def _ask_everything() -> None:
    answers: dict[str, Any] = {}
    with Client.in_process(sync_seconds=UNLIMITED_SECONDS) as gh:
        for name, question in QUESTIONS.items():
            report = ask(gh, question)
            answers[name] = kept(question, report)
            print(f"{name:20} {answers[name].get('verdict', '')}", file=sys.stderr)
            if question.chart is not None:
                picture_of(name).write_bytes(picture(gh, question, report))
    RESULTS.write_text(json.dumps(answers, indent=1, allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
