"""docs/adding-a-cell.md names files that exist, shows code as it is, and forgets no place a cell touches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-a-cell.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:service|clients|tests|docs)/[\w/.-]+\.\w+|CHANGELOG\.md)`", PAGE)))
SECTIONS = [section for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:] if "```python" in section]


def test_the_page_has_an_excerpt_for_every_place_that_holds_code() -> None:
    assert len(SECTIONS) == 5
    assert len(NAMED) >= 9


@pytest.mark.parametrize("name", NAMED)
def test_a_named_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("section", SECTIONS, ids=[section.split(":")[0] for section in SECTIONS])
def test_an_excerpt_is_what_the_file_in_its_heading_says(section: str) -> None:
    heading = re.match(r".*?`([\w/.-]+)`", section)
    assert heading is not None
    source = unindented((ROOT / heading[1]).read_text(encoding="utf-8"))
    for excerpt in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        assert unindented(excerpt) in source


def unindented(text: str) -> str:
    """Methods stand at the margin of the page."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def test_no_other_code_knows_the_leaky_cell_by_name() -> None:
    """Else the page is too short. What is about some cells only may name them: diagnostics, claims, and the cells that
    descents train, which have a table of their own.
    """
    told = {ROOT / name for name in NAMED}
    elsewhere = [
        path
        for root in ("clients/python", "service")
        for path in (ROOT / root).rglob("*.py")
        if path not in told and '"leaky"' in path.read_text(encoding="utf-8")
    ]
    about_some = [
        ROOT / "service/gradhorizon_service/worker/diagnostics",
        ROOT / "service/gradhorizon_service/worker/descents",
        ROOT / "service/gradhorizon_service/claims",
        ROOT / "clients/python/gradhorizon/schemas/descents.py",
    ]
    assert [p for p in elsewhere if not any(p.is_relative_to(place) for place in about_some)] == []


def test_every_cell_is_in_the_table_of_requests() -> None:
    from gradhorizon_service.worker.cells import CELLS

    requests = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
    assert [cell for cell in CELLS if f"\n| `{cell}` |" not in requests] == []
