"""Sizes and cost of a problem against the limits of this server."""

from __future__ import annotations

from dataclasses import replace

from gradhorizon_service.worker.problem import Problem

from .cost import Costs, Estimate, diagonal_estimate, estimate, sizes_of
from .errors import CostOverLimit, LimitExceeded
from .filling import Filled
from .limits import Limits
from .sources import is_spectral


def check_sizes(filled: Filled, limits: Limits) -> None:
    """Raise LimitExceeded for the first size over its limit."""
    request = filled.request
    spectral = is_spectral(request.network)
    layered = request.network.cell in ("feedforward", "jacobians")
    checks: list[tuple[str, str, int]] = [
        ("$.network", "max_modes" if spectral else "max_size", filled.shape.largest),
        ("$.depth", "max_layers" if layered else "max_depth", (request.depth or 0) + request.burn_in),
        ("$", "max_batch", filled.batch),
        ("$.max_points", "max_points", request.max_points),
        ("$.lags", "max_lags", len(request.lags or ())),
    ]
    for path, name, found in checks:
        within(path, name, found, limits)


_BY_NAME_WHERE_DEAR = ("remedies",)
_DEAR_SHARE = 1.0 / 120.0


def without_dear(problem: Problem, filled: Filled, limits: Limits) -> tuple[Problem, list[str]]:
    """Leave out what was not asked for by name and would take most of the time; also a line for each in the report.

    Decided on nominal costs and not on measured ones, so that the same request gets the same report.
    """
    if filled.request.diagnostics is not None:
        return problem, []
    found = _estimate(problem, filled, Costs())
    dear = [
        name
        for name in _BY_NAME_WHERE_DEAR
        if found.by_diagnostic.get(name, 0.0) > _DEAR_SHARE * limits.sync_seconds
    ]
    kept = tuple(name for name in problem.diagnostics if name not in dear)
    lines = [
        f"{name}: left out, at about {found.by_diagnostic[name]:.2g} seconds; ask for it by name"
        for name in dear
    ]
    return replace(problem, diagnostics=kept), lines


def check_cost(problem: Problem, filled: Filled, limits: Limits, costs: Costs) -> Estimate:
    """Estimate, and raise CostOverLimit where time or memory is over what an answer may take."""
    return _checked(_estimate(problem, filled, costs), limits)


def _estimate(problem: Problem, filled: Filled, costs: Costs) -> Estimate:
    driven = problem.inputs is not None or filled.shape.biased
    size = filled.shape.state_size if problem.network.kind.is_gated else filled.shape.largest
    if is_spectral(filled.request.network):
        return diagonal_estimate(problem, filled.shape, costs)
    return estimate(problem, sizes_of(problem, size, driven), costs)


def _checked(found: Estimate, limits: Limits) -> Estimate:
    if found.memory_bytes > limits.memory_bytes:
        raise CostOverLimit(
            found.memory_bytes,
            limits.memory_bytes,
            "bytes",
            "memory_bytes",
            "states of every step are kept: shorten the depth, or use a smaller batch",
        )
    advice = "shorten the depth, use a smaller batch, or ask for fewer diagnostics"
    if found.dearest != "run":
        advice += f" ({found.dearest} costs most: about {found.by_diagnostic[found.dearest]:.3g} seconds)"
    within_cost(found.seconds, limits, advice)
    return found


def within_cost(seconds: float, limits: Limits, advice: str = "ask for fewer rows, or less in each") -> None:
    """Raise CostOverLimit for more computing time than an answer may take."""
    if seconds > limits.sync_seconds:
        raise CostOverLimit(seconds, limits.sync_seconds, "seconds", "sync_seconds", advice)


def within(path: str, limit: str, found: int, limits: Limits) -> None:
    """Raise LimitExceeded for a size over the limit of that name."""
    allowed = getattr(limits, limit)
    if found > allowed:
        raise LimitExceeded(path, limit, allowed, found)


def depth_within(request_depth: int, limits: Limits) -> None:
    """Raise LimitExceeded for a depth over the limit."""
    within("$.depth", "max_depth", request_depth, limits)
