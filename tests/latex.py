"""A strict reader of the LaTeX that docs/derivations uses, which is a part of what GitHub renders.

It knows every command by name and by the number of its arguments, so that a misspelt one is an error and not a word;
and it holds to what TeX refuses: braces and fences that do not match, two superscripts on one base, a column separator
outside of an environment.
"""

from __future__ import annotations

import re

LETTERS = "alpha chi delta Delta ell gamma kappa lambda Lambda nu phi pi psi rho sigma Sigma tau theta xi"
NAMES = "arg cos det exp lim limsup ln log max min sinh sup tanh"
SIGNS = (
    "approx ast bullet cdot cdots ge infty le ldots leftarrow Leftrightarrow Longleftrightarrow ne odot partial pm "
    "prod Rightarrow sum times to top"
)
SPACES = "quad qquad , ;"
FENCES = "lVert rVert lvert rvert lbrace rbrace"
KNOWN = set(f"{LETTERS} {NAMES} {SIGNS} {SPACES} {FENCES}".split())
ARGUMENTS = {"frac": 2} | dict.fromkeys(["sqrt", "mathrm", "mathbb", "text", "hat", "bar", "tilde", "dot"], 1)
ENVIRONMENTS = {"pmatrix"}
PAIRS = {"lVert": "rVert", "lvert": "rvert"}
DELIMITERS = {"(", ")", "[", "]", ".", "\\lbrace", "\\rbrace", "\\lvert", "\\rvert"}
TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|[{}^_&]|\s+|[A-Za-z0-9]|[-+*/=<>()\[\].,:;!|']")


class NotLatex(Exception):
    """Why a formula would not be rendered as it is meant."""


def check(formula: str) -> None:
    """Raise NotLatex unless the formula is one."""
    reader = _Reader(_tokens(formula))
    reader.row(until=None)
    if reader.depths:
        raise NotLatex(f"{reader.depths[-1]} is never closed")


def _tokens(formula: str) -> list[str]:
    found, at = [], 0
    while at < len(formula):
        token = TOKEN.match(formula, at)
        if token is None:
            raise NotLatex(f"{formula[at]!r} is no sign of a formula")
        at = token.end()
        found.append(" " if token[0].isspace() else token[0])
    return found


class _Reader:
    """Recursive descent; `depths` holds the norm bars that are open."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0
        self.depths: list[str] = []

    def peek(self) -> str | None:
        while self.at < len(self.tokens) and self.tokens[self.at] == " ":
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise NotLatex("it ends too soon")
        self.at += 1
        return token

    def row(self, until: str | None, *, columns: bool = False) -> None:
        """Read up to the closing token, which is read too; None is the end."""
        scripts: set[str] = set()
        while True:
            token = self.peek()
            if token == until:
                self.at += 1
                return
            if token is None:
                raise NotLatex(f"{until} is missing")
            self.at += 1
            if token in ("^", "_"):
                if token in scripts:
                    raise NotLatex(f"two {token} on one base")
                scripts.add(token)
                self.argument()
            elif token in ("&", "\\\\"):
                if not columns:
                    raise NotLatex(f"{token} outside of an environment")
                scripts = set()
            elif token == "'":
                if "^" in scripts:
                    raise NotLatex("a prime after a superscript")
            else:
                scripts = set()
                self.atom(token)

    def argument(self) -> None:
        token = self.next()
        if token in ("^", "_", "&", "}", "\\\\"):
            raise NotLatex(f"{token} is no argument")
        self.atom(token)

    def group(self) -> str:
        """The raw text of a braced argument."""
        if self.next() != "{":
            raise NotLatex("an argument in braces is missing")
        start = self.at
        self.row(until="}")
        return "".join(self.tokens[start : self.at - 1])

    def atom(self, token: str) -> None:
        if token == "{":
            self.row(until="}")
        elif token == "}":
            raise NotLatex("} without {")
        elif token.startswith("\\"):
            self.command(token[1:])

    def command(self, name: str) -> None:
        if name == "left":
            self.delimiter()
            self.row(until="\\right")
            self.delimiter()
        elif name == "begin":
            self.environment()
        elif name in ARGUMENTS:
            for _ in range(ARGUMENTS[name]):
                self.group()
        elif name not in KNOWN:
            raise NotLatex(f"\\{name} is no command known here")
        elif name in PAIRS:
            self.depths.append(f"\\{name}")
        elif name in PAIRS.values() and (not self.depths or PAIRS[self.depths.pop()[1:]] != name):
            raise NotLatex(f"\\{name} closes nothing")

    def environment(self) -> None:
        name = self.group()
        if name not in ENVIRONMENTS:
            raise NotLatex(f"{name} is no environment known here")
        self.row(until="\\end", columns=True)
        if self.group() != name:
            raise NotLatex(f"{name} is ended by another name")

    def delimiter(self) -> None:
        token = self.next()
        if token not in DELIMITERS:
            raise NotLatex(f"{token} is no delimiter")
