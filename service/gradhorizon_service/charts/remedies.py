"""The horizon after each remedy."""

from __future__ import annotations

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.diagnoses import Outcome
from gradhorizon.schemas.diagnostics import RemediesReport

from .spec import COLOURS, Row, Spec, chart, layer, name, number, rule


class Reads(ReportModel):
    """What is drawn of a diagnosis."""

    remedies: RemediesReport
    outcome: Outcome


def draw(report: Reads) -> Spec:
    """The horizon after each remedy that was run, beside the one before."""
    depth = report.outcome.steps_completed
    found = sorted(report.remedies.counterfactuals, key=lambda remedy: remedy.rank)
    bars: list[Row] = [
        {
            "remedy": remedy.name.replace("_", " "),
            "steps": _reach(remedy.horizon_after, remedy.censored_after, depth),
            "reached": "farther than the depth" if remedy.censored_after else "within the depth",
        }
        for remedy in found
    ]
    colour = name("reached", None, order=["within the depth", "farther than the depth"])
    colour["scale"] = {
        "domain": ["within the depth", "farther than the depth"],
        "range": [COLOURS[0], COLOURS[2]],
    }
    layers = [
        layer(
            {"type": "bar", "height": {"band": 0.7}},
            bars,
            y=name("remedy", None, order=[row["remedy"] for row in bars]),
            x=number("steps", "horizon (steps back)", zero=True),
            color=colour,
        )
    ]
    subtitle = [report.remedies.says]
    if found:
        before = _reach(found[0].horizon_before, found[0].censored_before, depth)
        layers += rule(x=before)
        subtitle.append(f"dashed: as it is, {before} steps")
    return chart(layers, title="What would move the horizon", subtitle=subtitle, height={"step": 24})


def _reach(steps: int | None, censored: bool, depth: int) -> int:
    return depth if steps is None and censored else (steps or 0)
