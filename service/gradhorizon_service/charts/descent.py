"""The loss by step of a descent."""

from __future__ import annotations

import numpy as np

from gradhorizon.schemas._base import ReportModel
from gradhorizon.schemas.values import IntSeries, Series

from .spec import Row, Spec, chart, layer, name, number, rows


class _Course(ReportModel):
    step: IntSeries
    loss: Series
    loss_q10: Series
    loss_q90: Series


class _Policy(ReportModel):
    name: str
    course: _Course


class Reads(ReportModel):
    """What is drawn of a descent."""

    task: str
    policies: list[_Policy]


def draw(report: Reads) -> Spec:
    """The loss by step of a descent, one line a clipping policy: median and quantiles over the runs."""
    found = [row for policy in report.policies for row in _course(policy)]
    x, title = number("step", "step of the descent"), "log10 loss (decades)"
    colour = name("policy", None, order=[policy.name for policy in report.policies])
    layers = [
        layer(
            {"type": "area", "opacity": 0.2},
            found,
            x=x,
            y=number("low", title),
            y2={"field": "high"},
            color=colour,
        ),
        layer("line", found, x=x, y=number("log10_loss", title), color=colour),
    ]
    subtitle = "median over the runs that are finite; shaded: 10 % to 90 %"
    return chart(layers, title=f"Descent on the task {report.task}", subtitle=subtitle)


def _course(policy: _Policy) -> list[Row]:
    """Losses in decades; those that are exactly zero are left out."""
    course = policy.course
    losses = {"log10_loss": course.loss, "low": course.loss_q10, "high": course.loss_q90}
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {field: np.log10(column) for field, column in losses.items()}
    return [{**row, "policy": policy.name} for row in rows({"step": course.step, **columns})]
