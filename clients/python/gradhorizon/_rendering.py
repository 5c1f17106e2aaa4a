"""Reports on a terminal and in a notebook: the same summary, drawn by rich or as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from ._summaries import (
    Section,
    Summary,
    summarize_checkpoint_comparison,
    summarize_checkpoint_diagnosis,
    summarize_claim,
    summarize_claims,
    summarize_clippings,
    summarize_comparison,
    summarize_descent,
    summarize_diagnosis,
    summarize_mean_field,
    summarize_spectrum,
)
from .schemas import (
    CheckpointComparison,
    CheckpointDiagnosis,
    Claim,
    Claims,
    Clippings,
    Comparison,
    Descent,
    Diagnosis,
    MeanField,
    Spectrum,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {
    "diverged": "red",
    "dead": "red",
    "exploding": "red",
    "transient": "yellow",
    "vanishing": "blue",
    "stable": "green",
    "chaotic": "red",
    "ordered": "blue",
    "critical": "green",
    "holds": "green",
    "holds partly": "yellow",
    "fails": "red",
}


def summarize(report: object) -> Summary:
    """Return the summary of a report."""
    for kind, summary in _SUMMARIES.items():
        if isinstance(report, kind):
            return summary(report)
    raise TypeError(f"a {type(report).__name__} is not a report")


_SUMMARIES: Mapping[type, Callable[[Any], Summary]] = {
    Diagnosis: summarize_diagnosis,
    Comparison: summarize_comparison,
    Spectrum: summarize_spectrum,
    Clippings: summarize_clippings,
    Descent: summarize_descent,
    MeanField: summarize_mean_field,
    CheckpointDiagnosis: summarize_checkpoint_diagnosis,
    CheckpointComparison: summarize_checkpoint_comparison,
    Claim: summarize_claim,
    Claims: summarize_claims,
}


def to_rich(report: object) -> RenderableType:
    """Return a report as something rich can print."""
    from rich.console import Group
    from rich.text import Text

    summary = summarize(report)
    headline = Text.assemble(
        (summary.status, f"bold {COLOURS.get(summary.status, 'cyan')}"), f"  {summary.headline}"
    )
    asides = [Text(f"{kind}: {sentence}", style="dim") for kind, sentence in _asides(summary)]
    return Group(
        headline, *map(_rich_section, summary.sections), Text(), *asides, Text(summary.origin, style="dim")
    )


def to_text(report: object, width: int = 100) -> str:
    """Return a report as plain text: what `print(report)` shows."""
    from rich.console import Console

    console = Console(
        width=width, color_system=None, legacy_windows=False, force_jupyter=False, force_terminal=False
    )
    with console.capture() as captured:
        console.print(to_rich(report))
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def to_html(report: object) -> str:
    """Return a report as HTML without scripts or styles of the page's: what notebooks show."""
    summary = summarize(report)
    colour = COLOURS.get(summary.status, "teal")
    asides = "".join(f"<li>{escape(kind)}: {escape(sentence)}</li>" for kind, sentence in _asides(summary))
    return (
        f'<div><p><strong style="color:{colour}">{escape(summary.status)}</strong> {escape(summary.headline)}</p>'
        + "".join(map(_html_section, summary.sections))
        + (f"<ul>{asides}</ul>" if asides else "")
        + f"<p><small>{escape(summary.origin)}</small></p></div>"
    )


def _asides(summary: Summary) -> list[tuple[str, str]]:
    return [
        *(("warning", sentence) for sentence in summary.warnings),
        *(("assumed", sentence) for sentence in summary.assumptions),
    ]


def _rich_section(section: Section) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=any(section.columns), header_style="dim")
    for index, column in enumerate(section.columns):
        table.add_column(
            column, justify="right" if any(section.columns) and index < 4 else "left", overflow="fold"
        )
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    notes = [Text(note, style="italic") for note in section.notes]
    return Group(Text(), Text(section.title, style="bold"), Padding(Group(table, *notes), (0, 0, 0, 2)))


def _html_section(section: Section) -> str:
    header = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows
    )
    head = f"<thead><tr>{header}</tr></thead>" if any(section.columns) else ""
    notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in section.notes)
    return (
        f"<details open><summary>{escape(section.title)}</summary>"
        f"<table>{head}<tbody>{rows}</tbody></table>{notes}</details>"
    )
