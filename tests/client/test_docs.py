"""docs/client.md runs, block after block, against a live service."""

from __future__ import annotations

import re
from pathlib import Path

import gradhorizon

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")


def test_every_example_runs(live_url: str) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block.replace("http://localhost:8000", live_url), "docs/client.md", "exec"), names)
    assert names["tanh"] != names["relu"]


def test_every_error_is_documented() -> None:
    errors = {
        name
        for name in gradhorizon.__all__
        if isinstance(getattr(gradhorizon, name), type) and issubclass(getattr(gradhorizon, name), Exception)
    }
    assert errors - set(re.findall(r"\w+", PAGE)) == set()
