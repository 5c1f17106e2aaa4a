"""docs/derivations: formulas render, name code and tests that exist, and give the numbers worked by hand."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from latex import NotLatex, check

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "derivations"
PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
DERIVED = [page for page in PAGES if page != "README.md"]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"\$([^$]+)\$")
NAME = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@cache
def text_of(page: str) -> str:
    return (FOLDER / page).read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    return FENCE.sub("", text_of(page))


def displayed(page: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text_of(page)) if kind == "math"]


def attributions(page: str) -> list[tuple[list[str], list[str]]]:
    """The functions and the tests named in the paragraph after each displayed formula."""
    found = []
    for fence in FENCE.finditer(text_of(page)):
        if fence[1] == "math":
            paragraph = text_of(page)[fence.end() :].strip().split("\n\n")[0]
            said = re.fullmatch(r"Computed by\s([^;]+);\schecked\sby\s([^;]+)\.", paragraph)
            functions, tests = said.groups() if said else ("", "")
            found.append((re.findall(NAME, functions), re.findall(NAME, tests)))
    return found


def resolved(name: str) -> object:
    """What stands under a dotted name in the module that the longest part of it names."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(name)


@cache
def names_of_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_formula_is_latex(page: str) -> None:
    for formula in [*displayed(page), *INLINE.findall(prose_of(page))]:
        try:
            check(formula)
        except NotLatex as error:
            pytest.fail(f"{page}: {formula.strip()}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_markdown_leaves_every_formula_alone(page: str) -> None:
    """No escape, emphasis, link or break of a table cell inside dollars, and dollars where GitHub looks for them."""
    prose = prose_of(page)
    assert prose.count("$") % 2 == 0
    for found in INLINE.finditer(prose):
        before, after = prose[found.start() - 1 : found.start()], prose[found.end() : found.end() + 1]
        assert before in " \n(*", found[0]
        assert after in " \n.,;:)*'", found[0]
        assert not found[1].startswith(" "), found[0]
        assert not found[1].endswith(" "), found[0]
    kept = "".join(runs_of_text(MarkdownIt("commonmark").enable("table").parse(prose)))
    assert INLINE.findall(kept) == INLINE.findall(prose)


def runs_of_text(tokens: list[Token]) -> list[str]:
    """What is left as plain text; whatever Markdown made something else of is marked."""
    found = []
    for token in tokens:
        children = token.children or []
        found += [{"text": child.content, "softbreak": "\n"}.get(child.type, "\x00") for child in children]
        found.append("\n")
    return found


@pytest.mark.parametrize("page", DERIVED)
def test_every_formula_names_what_computes_it_and_what_checks_it(page: str) -> None:
    assert displayed(page)
    for formula, (functions, tests) in zip(displayed(page), attributions(page), strict=True):
        assert functions, formula
        assert tests, formula
        for name in functions:
            assert not isinstance(resolved(name), ModuleType), name
        for name in tests:
            path, test = name.split("::")
            assert test in names_of_tests(path), name


@pytest.mark.parametrize("page", DERIVED)
def test_every_section_with_a_formula_works_a_number(page: str) -> None:
    """One section may show the step that the next one computes with."""
    sections = re.split(r"^## ", text_of(page), flags=re.MULTILINE)[1:]
    without = [s.splitlines()[0] for s in sections if "```math" in s and "**By hand.**" not in s]
    assert without in ([], ["The step of the whole state"])
    for section in sections:
        assert ("**By hand.**" in section) == ("```python" in section), section.splitlines()[0]


@pytest.mark.parametrize("page", DERIVED)
def test_the_numbers_worked_by_hand_are_the_ones_computed(page: str) -> None:
    """What blocks print is what their comments say, and every number of it stands in the prose."""
    names: dict[str, Any] = {}
    by_hand = {float(number) for number in NUMBER.findall(re.sub(r"(?<=\d)-(?=\d)", " ", prose_of(page)))}
    for kind, block in FENCE.findall(text_of(page)):
        if kind != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, page, "exec"), names)
        expected = [
            word for line in block.splitlines() for word in line.partition("  # ")[2].split() if word != "|"
        ]
        assert printed.getvalue().split() == expected
        assert {float(word) for word in expected if NUMBER.fullmatch(word)} - by_hand == set(), block


def test_every_page_is_in_the_index() -> None:
    assert [page for page in DERIVED if f"]({page})" not in text_of("README.md")] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", text_of(page)):
        headings = re.findall(r"^#+ (.*)$", text_of(target), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, (target, anchor)


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{1}{2",
        r"\frac{1}",
        r"x^2^3",
        r"\lamda",
        r"\left( x",
        r"a & b",
        r"\lVert x \rvert",
        r"\begin{pmatrix} 1 \end{matrix}",
        r"x^",
        r"1 }",
        "\u03bb",
        r"\operatorname{diag}",
    ],
)
def test_what_is_no_latex_is_found(formula: str) -> None:
    with pytest.raises(NotLatex):
        check(formula)
