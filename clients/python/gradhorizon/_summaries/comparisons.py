"""What a person wants to see of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import Section, Summary, decades, number, origin, steps

if TYPE_CHECKING:
    from ..schemas import Comparison
    from ..schemas.comparisons import ComparisonRow


def summarize_comparison(report: Comparison) -> Summary:
    """Return the table of a comparison."""
    clipped = any(row.clipped is not None for row in report.rows)
    rows = tuple(
        (
            str(row.rank),
            row.name,
            row.status,
            steps(row.horizon_after_clipping),
            number(row.decades_per_step),
            decades(row.log10_largest_singular_value),
            *([_update(row)] if clipped else []),
        )
        for row in report.rows
    )
    columns = (
        "rank",
        "name",
        "verdict",
        "horizon",
        "decades per step",
        "largest singular value, log10",
        *(["update, log10 norm"] if clipped else []),
    )
    return Summary(
        status=f"{len(report.rows)} rows",
        headline=report.says,
        sections=(Section("Ranked by horizon", columns, rows),),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def _update(row: ComparisonRow) -> str:
    """The norm of all parameter gradients, before and after clipping."""
    if row.clipped is None:
        return "-"
    return f"{decades(row.log10_update_norm_before)} -> {decades(row.log10_update_norm_after)}"
