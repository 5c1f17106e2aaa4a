"""One line of a results table: our time, the peers' times over ours, and what the answers were worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .measuring import Timing


@dataclass(frozen=True)
class Comparison:
    """`timings` name every contender, ours first; `facts` are further columns."""

    case: str
    timings: Mapping[str, Timing]
    dgemm_rate: float
    facts: Mapping[str, str] = field(default_factory=dict)

    def cells(self) -> dict[str, str]:
        """Column -> text."""
        ours, *peers = self.timings
        mine = self.timings[ours]
        return {
            "case": self.case,
            f"{ours}, ms CPU (wall)": f"{_milliseconds(mine.cpu_seconds)} ({_milliseconds(mine.wall_seconds)})",
            **{f"{peer}, times ours": _ratio(self.timings[peer], mine) for peer in peers},
            **self.facts,
            "dgemm, GFLOP/s": f"{self.dgemm_rate:.0f}",
        }


def table(lines: Sequence[Mapping[str, str]]) -> str:
    """Lines of equal columns as a Markdown table."""
    columns = list(lines[0])
    widths = [max(len(column), *(len(line[column]) for line in lines)) for column in columns]
    rows = [
        columns,
        ["-" * width for width in widths],
        *([line[column] for column in columns] for line in lines),
    ]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def _ratio(peer: Timing, ours: Timing) -> str:
    low, high = peer.ratio_range_to(ours)
    return f"{peer.ratio_to(ours):.2f} ({low:.2f} .. {high:.2f}; wall {peer.wall_ratio_to(ours):.2f})"
