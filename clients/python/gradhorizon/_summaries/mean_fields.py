"""What a person wants to see of a theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .text import Section, Summary, number, origin, spread

if TYPE_CHECKING:
    from ..schemas import MeanField


def summarize_mean_field(report: MeanField) -> Summary:
    """Return what a person wants to see of a theory."""
    named = {
        "length q*": (report.q_star, report.q_star_reason),
        "chi_1": (report.chi_1, None),
        "correlation c*": (report.c_star, report.c_star_reason),
        "depth of lengths xi_q": (report.xi_q, report.xi_q_reason),
        "depth of correlations xi_c": (report.xi_c, report.xi_c_reason),
        "critical weight variance": (report.critical_weight_variance, report.critical_weight_variance_reason),
        "critical gain": (report.critical_gain, report.critical_gain_reason),
        "growth of gradients, nats per step": (report.growth_rate, None),
    }
    rows = tuple((name, number(value)) for name, (value, _) in named.items())
    reasons = tuple(f"{name}: {reason}" for name, (_, reason) in named.items() if reason is not None)
    sections = [Section("Infinitely wide random networks", ("", ""), rows, reasons)]
    sections += filter(None, (_critical_line(report), _product_exponents(report)))
    return Summary(
        status=report.phase,
        headline=f"{report.activation} at weight variance {number(report.weight_variance)}, "
        f"bias variance {number(report.bias_variance)}",
        sections=tuple(sections),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def _critical_line(report: MeanField) -> Section | None:
    line = report.critical_line
    if line is None:
        return None
    shown = spread(np.arange(len(line.weight_variance)), None)
    rows = tuple((number(line.weight_variance[i]), number(line.bias_variance[i])) for i in shown)
    reasons = filter(None, (line.weight_variance_reason, line.bias_variance_reason))
    return Section("Critical line", ("weight variance", "bias variance"), rows, tuple(reasons))


def _product_exponents(report: MeanField) -> Section | None:
    exponents = report.gaussian_product_exponents
    if exponents is None:
        return None
    rows = tuple((f"exponent {i + 1}", number(x)) for i, x in enumerate(exponents[:8].tolist()))
    return Section("Products of Gaussian matrices, nats per step", ("", ""), rows)
